fn main() -> std::process::ExitCode {
    adit::main()
}
