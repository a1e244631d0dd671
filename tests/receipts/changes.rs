//! Changes of what a pool exported, each with the reasons that it may be refused for: whoever made it did
//! not make the pool sign it.

use serde_json::{Value, json};

const SIGNATURE: &str = "the signature is not that of this key";
const ACCOUNT: &str = "account: it is not that of the address";

/// A file that was changed.
pub(super) struct Change {
    pub(super) what: String,
    pub(super) text: String,
    /// One of these is what it is refused for.
    pub(super) why: Vec<String>,
}

impl Change {
    fn new(what: String, text: String, why: &[&str]) -> Self {
        let why = why.iter().map(|why| (*why).to_owned()).collect();
        Self { what, text, why }
    }
}

/// Each field with another value, each left out, and one that nobody knows.
pub(super) fn of_fields(name: &str, whole: &Value) -> Vec<Change> {
    let mut changed = Vec::new();
    for path in paths(whole, "") {
        let (parent, field) = path.rsplit_once('/').unwrap();
        let mut other = whole.clone();
        let place = other.pointer_mut(&path).unwrap();
        *place = match place.take() {
            Value::String(text) => Value::String(another(field, &text)),
            Value::Number(number) => json!(number.as_i64().unwrap() + 1),
            Value::Null => json!("00".repeat(32)),
            value => panic!("{value}"),
        };
        let why = [why(name, &path)];
        changed.push(Change::new(path.clone(), other.to_string(), &why));
        let mut other = whole.clone();
        let without = match other.pointer_mut(parent).unwrap() {
            Value::Object(fields) => {
                fields.remove(field);
                format!("missing field `{field}`")
            }
            Value::Array(list) => {
                list.remove(field.parse().unwrap());
                why[0].to_owned()
            }
            value => panic!("{value}"),
        };
        let what = format!("without {path}");
        let nothing = "it is nothing that a pool exports";
        changed.push(Change::new(what, other.to_string(), &[&without, nothing]));
    }
    let mut other = whole.clone();
    other["more"] = json!(1);
    let unknown = "unknown field `more`";
    changed.push(Change::new(
        "a field more".into(),
        other.to_string(),
        &[unknown],
    ));
    changed
}

/// Why another value of a field is refused that looks as good.
fn why(name: &str, path: &str) -> &'static str {
    let field = path.rsplit('/').next().unwrap();
    let is_own = |fields: &[&str]| fields.contains(&&path[1..]);
    let of_account = [
        "address",
        "salt",
        "account",
        "share/account",
        "pool",
        "coin",
        "network",
        "date",
    ];
    match name {
        _ if field == "form" => "form: ",
        "promise" if is_own(&["proof"]) => "expected struct Proof",
        "receipt" if is_own(&["promise"]) => "expected struct Promise",
        "promise" | "receipt" | "sum" if is_own(&of_account) => ACCOUNT,
        "receipt" if !path.contains("/day/") => "path: it does not lead to the root",
        "sum" if !path.contains("/day/") => "path: it does not lead to the sums",
        "share" if field == "work" => "work: that of the",
        "share" => "root: that of the",
        _ => SIGNATURE,
    }
}

/// The places of all values that hold no others.
fn paths(value: &Value, path: &str) -> Vec<String> {
    let join = |name: &str, value: &Value| paths(value, &format!("{path}/{name}"));
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(n, v)| join(n, v)).collect(),
        Value::Array(list) => {
            let list = list.iter().enumerate();
            list.flat_map(|(n, v)| join(&n.to_string(), v)).collect()
        }
        _ => vec![path.to_owned()],
    }
}

/// A text that could stand there as well.
fn another(field: &str, text: &str) -> String {
    if field == "scheme" {
        return if text == "prop" { "pplns" } else { "prop" }.into();
    }
    if field == "date" {
        // The day after, which every calendar has.
        return text
            .parse::<mining::date::Date>()
            .unwrap()
            .next()
            .to_string();
    }
    if let Ok(number) = text.parse::<u128>() {
        // Of work it is less, so that no hash is worth too little.
        return number.checked_sub(1).unwrap_or(1).to_string();
    }
    // One character is another one of the same kind: of a percentage the last, of others one in the middle.
    let at = match field {
        "percent" => text.len() - 1,
        _ => text.len() / 2,
    };
    let other = match text.as_bytes()[at] {
        b'1' => '2',
        digit @ (b'0' | b'2'..=b'9') => char::from(if digit == b'0' { b'1' } else { digit - 1 }),
        b'a' => 'b',
        _ => 'a',
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

/// Each field of some lines, and lines elsewhere, twice and not at all.
pub(super) fn of_log(log: &str) -> Vec<Change> {
    let lines: Vec<&str> = log.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    let mut changed = Vec::new();
    for number in [0, 1, lines.len() / 2, lines.len() - 1] {
        let whole: Value = serde_json::from_str(lines[number]).unwrap();
        let name = if number == 0 { "head" } else { "share" };
        for mut change in of_fields(name, &whole) {
            let mut other = lines.clone();
            other[number] = &change.text;
            change.text = joined(&other);
            change.what = format!("line {number}: {}", change.what);
            // Without a head that says so it is no log.
            if number == 0 && change.what.ends_with("/form") {
                change.why.push("it is no JSON: trailing characters".into());
            }
            changed.push(change);
        }
    }
    let mut other = lines.clone();
    other.swap(3, 4);
    let mut push = |what: &str, text: String, why: &str| {
        changed.push(Change::new(what.into(), text, &[why]));
    };
    push("two lines changed places", joined(&other), "root: that of");
    let mut other = lines.clone();
    other.remove(5);
    push("a line is missing", joined(&other), "shares: that of");
    let mut other = lines.clone();
    other.insert(5, lines[4]);
    push(
        "a line more",
        joined(&other),
        "more shares than were signed",
    );
    let mut other = lines.clone();
    other[5] = lines[4];
    push("a line instead of another", joined(&other), "root: that of");
    let mut other = lines.clone();
    other.insert(5, "");
    push("an empty line", joined(&other), "line 6: EOF");
    let cut = log[..log.len() - 1].to_owned();
    push("the last byte is missing", cut, "it is cut off");
    push("nothing", String::new(), "it is no JSON: EOF");
    changed
}

/// Amounts, states and entries; a line twice, and one less; and the right sum of wrong lines.
pub(super) fn of_books(statement: &Value, block: &str) -> Vec<Change> {
    let mut changed = Vec::new();
    let lines = statement["items"].as_array().unwrap();
    let mut push = |what: String, text: &Value, why: &str| {
        changed.push(Change::new(what, text.to_string(), &[why]));
    };
    // A line that was voided counts for nothing, so whatever stands there contradicts nothing.
    let counts = |number: &usize| lines[*number]["state"] == "posted";
    for number in (0..lines.len()).filter(counts) {
        for (field, value, why) in [
            ("amount", json!("1"), "the lines add up to"),
            ("amount", json!("01"), "is no number as it is written"),
            ("amount", json!(1), "invalid type: integer"),
            ("state", json!("voided"), "the lines add up to"),
            ("state", json!("paid"), "state: "),
        ] {
            let mut other = statement.clone();
            other["items"][number][field] = value.clone();
            push(format!("{number} {field} {value}"), &other, why);
        }
        let mut other = statement.clone();
        let list = other["items"].as_array_mut().unwrap();
        list.push(lines[number].clone());
        push(format!("{number} twice"), &other, "stands there twice");
        let mut other = statement.clone();
        other["items"].as_array_mut().unwrap().remove(number);
        push(format!("without {number}"), &other, "the lines add up to");
    }
    // A unit of the block that was split is another block's.
    let is_of = |line: &&Value| line["entry"].as_str().unwrap().contains(block);
    let own = lines.iter().position(|line| is_of(&line)).unwrap();
    let mut other = statement.clone();
    let next = (0..lines.len()).find(|number| *number != own && counts(number));
    // Where only one line counts there is none to move it to.
    let Some(next) = next else { return changed };
    for (number, by) in [(own, -1), (next, 1)] {
        let amount: i64 = lines[number]["amount"].as_str().unwrap().parse().unwrap();
        other["items"][number]["amount"] = json!((amount + by).to_string());
    }
    push("a unit elsewhere".into(), &other, "was its part");
    changed
}
