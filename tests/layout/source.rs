//! Source files as the layout is checked by: their code, with comments, literals and unit tests
//! blanked out. It knows as much of Rust as rustfmt leaves to know.

use super::{read, tree};

/// A source file.
pub(super) struct Source {
    /// From the root of the tree.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with comments and the contents of strings blanked out, and for [`Source::program`]
    /// without unit tests. Lines keep their numbers.
    pub(super) code: String,
}

impl Source {
    /// All of them, tests and benches included.
    pub(super) fn all() -> Vec<Self> {
        let sources: Vec<_> = tree()
            .into_iter()
            .filter(|path| path.ends_with(".rs"))
            .map(|path| {
                let text = read(&path);
                let code = blanked(&text);
                Self { path, text, code }
            })
            .collect();
        assert!(sources.len() > 100, "the tree has been found");
        sources
    }

    /// What becomes part of the program: no tests, no benches.
    pub(super) fn program() -> Vec<Self> {
        let mut sources: Vec<_> = Self::all()
            .into_iter()
            .filter(|source| source.is_in_src() && !source.path.starts_with("crates/judge/"))
            .collect();
        let mut test_modules = Vec::new();
        for source in &mut sources {
            let (code, modules) = without_tests(&source.code);
            source.code = code;
            let folder = module_folder(&source.path);
            test_modules.extend(modules.iter().map(|module| format!("{folder}/{module}")));
        }
        sources.retain(|source| {
            !test_modules.iter().any(|module| {
                source.path == format!("{module}.rs")
                    || source.path.starts_with(&format!("{module}/"))
            })
        });
        sources
    }

    pub(super) fn is_in_src(&self) -> bool {
        self.path.starts_with("src/")
            || (self.path.starts_with("crates/") && self.path.contains("/src/"))
    }

    /// Where one of these words is an identifier of its own.
    pub(super) fn naming(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (number, line) in self.code.lines().enumerate() {
            for word in line.split(|c: char| !c.is_alphanumeric() && c != '_') {
                if words.contains(&word) {
                    found.push(format!("{}:{}: {word}", self.path, number + 1));
                }
            }
        }
        found
    }
}

/// Where the files of a module's own modules are.
fn module_folder(path: &str) -> String {
    let path = path.strip_suffix(".rs").expect("a source file");
    ["/lib", "/main", "/mod"]
        .iter()
        .find_map(|root| path.strip_suffix(root))
        .unwrap_or(path)
        .to_owned()
}

/// Blanks what stands under `#[cfg(test)]`, and names the modules declared there. As rustfmt
/// writes it, an item ends on its first line or with a brace under its beginning.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut kept = String::new();
    let mut modules = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        kept.push('\n');
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let item = loop {
            let line = lines.next().expect("something is under #[cfg(test)]");
            kept.push('\n');
            if !line.trim_start().starts_with("#[") {
                break line.trim_end();
            }
        };
        if let Some(declared) = item.strip_suffix(';') {
            if let Some((_, module)) = declared.rsplit_once("mod ") {
                modules.push(module.to_owned());
            }
        } else if !item.ends_with('}') {
            for line in lines.by_ref() {
                kept.push('\n');
                if line.trim_end() == end {
                    break;
                }
            }
        }
    }
    (kept, modules)
}

/// The text with comments and the contents of literals replaced by blanks.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(i, c)| chars.get(at + i) == Some(&c))
    };
    let is_word = |at: usize| {
        at.checked_sub(1)
            .is_some_and(|before| chars[before].is_alphanumeric() || chars[before] == '_')
    };
    let mut blanks = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < chars.len() && !starts(at, "*/") {
                at += 1;
            }
        } else if chars[at] == 'r'
            && !is_word_without_b(&chars, at)
            && raw_hashes(&chars, at).is_some()
        {
            let hashes = raw_hashes(&chars, at).expect("just seen");
            let end = format!("\"{}", "#".repeat(hashes));
            at += hashes + 2;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if chars[at] == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += 1 + usize::from(chars[at] == '\\');
            }
            at += 1;
        } else if chars[at] == '\'' && !is_word(at) && starts(at + 1, "\\") {
            at += 3;
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at += 3;
        } else {
            at += 1;
            continue;
        }
        blanks.push(start..at.min(chars.len()));
    }
    let mut chars = chars;
    for range in blanks {
        for c in &mut chars[range] {
            if *c != '\n' {
                *c = ' ';
            }
        }
    }
    chars.into_iter().collect()
}

/// Whether the `r` at `at` goes on a word other than the prefix `br`.
fn is_word_without_b(chars: &[char], at: usize) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    match at.checked_sub(1).map(|before| chars[before]) {
        Some('b') => at >= 2 && word(chars[at - 2]),
        Some(before) => word(before),
        None => false,
    }
}

/// The hashes of the raw string that begins at `at`.
fn raw_hashes(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(at + 1 + hashes) == Some(&'"')).then_some(hashes)
}

#[test]
fn the_reader_of_sources_sees_code_alone() {
    let text = "let a = \"unsafe\"; // unsafe\nlet b = r#\"x \"unsafe\"#; '\\''; '\"'; x(b\"\\\"\");\nfn c<'a>(c: &'a str) {}\n";
    let code = blanked(text);
    assert!(!code.contains("unsafe"), "{code}");
    assert!(code.contains("fn c<'a>(c: &'a str) {}"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
    let (code, modules) = without_tests(
        "#[cfg(test)]\nmod fake;\nmod real;\n#[cfg(test)]\npub mod tests {\n    x\n}\nlast\n",
    );
    assert_eq!(modules, ["fake"]);
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>(),
        ["mod", "real;", "last"]
    );
}
