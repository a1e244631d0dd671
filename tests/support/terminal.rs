//! A real terminal: a program in tmux, typed into and read from its screen.

use std::{
    collections::HashMap,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::wait_for;

/// A program in a terminal of its own. It ends with the test.
pub(crate) struct Terminal {
    /// The name of tmux's socket: the server is this test's alone.
    socket: String,
    seen: HashMap<String, usize>,
}

impl Terminal {
    /// Starts the program under test in a terminal of this size.
    pub(crate) fn start(
        (columns, lines): (u16, u16),
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let socket = format!("adit-test-{}-{number}", std::process::id());
        let mut command = Command::new("tmux");
        command
            .args(["-L", &socket, "-f", "/dev/null", "new-session", "-d"])
            .args(["-x", &columns.to_string(), "-y", &lines.to_string()])
            .arg("env");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ADIT_")) {
            command.args(["-u", &name]);
        }
        for (name, value) in environment {
            command.arg(format!("{name}={value}"));
        }
        // The shell stays when the program has ended, so that its last words can be read.
        let script = "\"$@\"; echo \"[ended: $?]\"; sleep 600";
        command.args(["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_adit")]);
        let started = command.args(arguments).status();
        let started = started.expect("tmux is missing: run `make packages`");
        assert!(started.success());
        Self {
            socket,
            seen: HashMap::new(),
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J"])
    }

    /// What is on the screen, with colours and other attributes as the terminal has them.
    pub(crate) fn screen_with_colours(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits for a text to come up once more than when it was last waited for.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        let before = self.seen.get(text).copied().unwrap_or(0);
        let all = || self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let now = wait_for(text, || {
            let count = all().matches(text).count();
            (count > before).then_some(count)
        });
        self.seen.insert(text.to_owned(), now);
    }

    /// Presses keys, by tmux's names for them: `Down`, `C-c`, `q`.
    pub(crate) fn press(&self, keys: &[&str]) {
        let arguments = [&["send-keys"], keys].concat();
        self.tmux(&arguments);
    }

    /// Types a text, and Enter.
    pub(crate) fn type_line(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
        self.press(&["Enter"]);
    }

    pub(crate) fn resize(&self, (columns, lines): (u16, u16)) {
        let size = [columns.to_string(), lines.to_string()];
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the screen\n{}", self.screen());
        }
        self.tmux(&["kill-server"]);
    }
}
