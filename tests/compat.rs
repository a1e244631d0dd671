//! The shapes of other pools, as the programs that read them do: each field that one of them reads is
//! there and of the kind that it can take.

mod consumers;
mod files;
mod payers;
mod ports;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Pool, runtime};

/// What a reader does with a field.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A whole number, of which JavaScript makes a `BigInt`.
    Whole,
    /// Any number.
    Number,
    /// A text.
    Text,
    /// A text that is a number.
    NumberText,
    /// A whole number with a prefix behind it, or without one: `1.23T`, `17`.
    Rate,
    /// RFC 3339.
    Time,
    /// A list.
    List,
    /// An object.
    Object,
    /// True or false.
    Flag,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        let text = value.as_str();
        match self {
            Self::Whole => value.to_string().bytes().all(|byte| byte.is_ascii_digit()),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
            Self::NumberText => text.is_some_and(|text| text.parse::<f64>().is_ok()),
            Self::Rate => text.is_some_and(is_rate),
            Self::Time => text.is_some_and(|text| text.len() == 20 && text.ends_with('Z')),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
            Self::Flag => value.is_boolean(),
        }
    }
}

fn is_rate(text: &str) -> bool {
    let number = text.trim_end_matches(['Z', 'E', 'P', 'T', 'G', 'M', 'K']);
    match text.len() - number.len() {
        0 => number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty(),
        1 => number.parse::<f64>().is_ok_and(|number| number >= 0.0),
        _ => false,
    }
}

/// Checks fields by their paths: `workers.*.name` is that of each entry, of which there is one.
#[track_caller]
fn assert_reads(document: &Value, fields: &[(&str, Kind)]) {
    for (path, kind) in fields {
        let mut found = vec![document];
        for step in path.split('.') {
            let below = |value: &'_ Value| -> Vec<Value> {
                match (step, value) {
                    ("*", Value::Array(list)) => list.clone(),
                    ("*", Value::Object(map)) => map.values().cloned().collect(),
                    (step, value) => value.get(step).cloned().into_iter().collect(),
                }
            };
            let values: Vec<Value> = found.iter().flat_map(|value| below(value)).collect();
            assert!(
                !values.is_empty(),
                "{path}: there is no {step} in {document}"
            );
            // Few and small.
            found = values
                .into_iter()
                .map(|value| &*Box::leak(Box::new(value)))
                .collect();
        }
        for value in found {
            assert!(kind.fits(value), "{path} is {value}, which is no {kind:?}");
        }
    }
}

/// An answer.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    text: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }
}

/// Asks at a port of this host, as a program that takes `accept`, and follows no redirect.
fn ask_at(host: &str, port: u16, path: &str, accept: &str) -> Answer {
    let client = reqwest::Client::builder();
    let client = client.redirect(reqwest::redirect::Policy::none()).build();
    let request = client.unwrap().get(format!("http://{host}:{port}{path}"));
    runtime().block_on(async {
        let response = request.header("accept", accept).send().await.unwrap();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| {
            let value = value.to_str().unwrap().to_owned();
            (name.as_str().to_owned(), value)
        });
        Answer {
            status: response.status().as_u16(),
            headers: headers.collect(),
            text: response.text().await.unwrap(),
        }
    })
}

fn ask(pool: &Pool, path: &str) -> Answer {
    ask_at("127.0.0.1", pool.http, path, "*/*")
}

/// The JSON of an answer that other pages may read and that may be kept for a while.
#[track_caller]
fn told(pool: &Pool, path: &str) -> Value {
    let answer = ask(pool, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    assert_open_and_kept(path, &answer);
    answer.json()
}

#[track_caller]
fn assert_open_and_kept(path: &str, answer: &Answer) {
    assert_eq!(answer.headers["access-control-allow-origin"], "*", "{path}");
    let age = answer.headers["cache-control"].strip_prefix("public, max-age=");
    let age: u32 = age.unwrap().parse().unwrap();
    assert!((5..=60).contains(&age), "{path}: {age}");
}
