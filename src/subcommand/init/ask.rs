//! Questions on a terminal, or none at all: then each answer is the one that stands first. Called by
//! `adit init`.

use std::{fmt::Display, io::IsTerminal as _};

use inquire::{Confirm, InquireError, Password, PasswordDisplayMode, Select, Text};

use crate::{config::BadConfig, daemon::Secret};

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Somebody at a terminal.
    Terminal,
    /// Nobody: what no flag says is as it is by default.
    Nobody,
}

impl Ask {
    /// Whom there is to ask.
    pub(super) fn whom(nobody: bool) -> Result<Self, BadConfig> {
        if nobody {
            return Ok(Self::Nobody);
        }
        if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            return Ok(Self::Terminal);
        }
        let told = "there is no terminal to ask at: say all by flags, and --yes";
        Err(BadConfig::Value(told.into()))
    }

    /// One of some; the one at `first` unless somebody says otherwise.
    pub(super) fn choose<T: Display>(
        self,
        question: &str,
        mut options: Vec<T>,
        first: usize,
    ) -> anyhow::Result<T> {
        match self {
            Self::Nobody => Ok(options.swap_remove(first)),
            Self::Terminal => answer(
                Select::new(question, options)
                    .with_starting_cursor(first)
                    .without_filtering()
                    .prompt(),
            ),
        }
    }

    /// A text; `default` if nothing is typed. Without a default the flag must say it.
    pub(super) fn text(
        self,
        question: &str,
        default: Option<&str>,
        help: &str,
        flag: &str,
    ) -> anyhow::Result<String> {
        match (self, default) {
            (Self::Nobody, Some(default)) => Ok(default.to_owned()),
            (Self::Nobody, None) => Err(BadConfig::Value(format!("{flag} is needed")).into()),
            (Self::Terminal, _) => {
                let mut text = Text::new(question);
                text.default = default;
                text.help_message = (!help.is_empty()).then_some(help);
                let typed = answer(text.prompt())?;
                Ok(typed.trim().to_owned())
            }
        }
    }

    /// A text that is not shown.
    pub(super) fn secret(self, question: &str, flag: &str) -> anyhow::Result<Secret> {
        match self {
            Self::Nobody => Err(BadConfig::Value(format!("{flag} is needed")).into()),
            Self::Terminal => {
                let typed = Password::new(question)
                    .with_display_mode(PasswordDisplayMode::Masked)
                    .without_confirmation()
                    .prompt();
                Ok(Secret::from(answer(typed)?.as_str()))
            }
        }
    }

    /// Yes or no.
    pub(super) fn yes(self, question: &str, default: bool) -> anyhow::Result<bool> {
        match self {
            Self::Nobody => Ok(default),
            Self::Terminal => answer(Confirm::new(question).with_default(default).prompt()),
        }
    }

    /// Tells what is wrong with an answer, so that it is asked for again. With nobody to ask it is the
    /// end.
    pub(super) fn refuse(self, why: &str) -> anyhow::Result<()> {
        match self {
            Self::Nobody => Err(BadConfig::Value(why.to_owned()).into()),
            Self::Terminal => {
                println!("  no: {why}");
                Ok(())
            }
        }
    }
}

fn answer<T>(answer: Result<T, InquireError>) -> anyhow::Result<T> {
    answer.map_err(|error| match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            anyhow::anyhow!("stopped; nothing was written")
        }
        other => anyhow::Error::new(other).context("the terminal does not answer"),
    })
}
