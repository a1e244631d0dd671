//! The command line.

use clap::Parser;

use crate::subcommand::Subcommand;

/// A mining pool in one program.
#[derive(Parser)]
#[command(name = "adit", bin_name = "adit", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
