//! The submit as nearly every miner writes it, read in one pass.
//!
//! [`Request::parse`](super::Request::parse) asks here first: submits are nearly all that a pool
//! receives, and this takes half the time of the general reader. `None` says only that the line has
//! something unusual, be it an escape, another method or an error; the general reader then decides.
//! Where this gives an answer, it is the same one: tests and a fuzz target hold the two together.

use memchr::memchr;

use super::malformed::Fault;
use super::submit::{Fields, Submit};
use crate::id::{Id, MAX_ID};
use crate::json::Json;

pub(crate) fn scan(line: &str) -> Option<(Id<'_>, Result<Submit<'_>, Fault>)> {
    // Once for the whole line, so that a string ends at the next quote and holds what it says.
    let unusual = |byte: u8| byte < b' ' || byte == b'\\';
    if line
        .bytes()
        .fold(false, |found, byte| found | unusual(byte))
    {
        return None;
    }
    let mut rest = Rest(line);
    let (mut id, mut submit, mut params) = (None, None, None);
    rest.byte(b'{')?;
    loop {
        let key = rest.string()?;
        rest.byte(b':')?;
        match key {
            "id" if id.is_none() => id = Some(rest.id()?),
            "method" if submit.is_none() => submit = Some(rest.string()? == "mining.submit"),
            "params" if params.is_none() => params = Some(rest.params()?),
            _ => return None,
        }
        if rest.byte(b',').is_none() {
            break;
        }
    }
    rest.byte(b'}')?;
    rest.spaces();
    if !rest.0.is_empty() || submit != Some(true) {
        return None;
    }
    Some((id?, Submit::decode(params?)))
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn spaces(&mut self) {
        while let Some(rest) = self.0.strip_prefix(' ') {
            self.0 = rest;
        }
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.spaces();
        self.0 = self.0.strip_prefix(char::from(byte))?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let (string, rest) = self.0.split_at(memchr(b'"', self.0.as_bytes())?);
        self.0 = rest.strip_prefix('"')?;
        Some(string)
    }

    fn null(&mut self) -> Option<()> {
        self.spaces();
        self.0 = self.0.strip_prefix("null")?;
        Some(())
    }

    /// `null` or a plain number; a string is left to the general reader.
    fn id(&mut self) -> Option<Id<'a>> {
        if self.null().is_some() {
            return Some(Id::NULL);
        }
        let digits = self
            .0
            .bytes()
            .take_while(u8::is_ascii_digit)
            .take(MAX_ID)
            .count();
        let (number, rest) = self.0.split_at(digits);
        let more = matches!(rest.as_bytes(), [b'0'..=b'9' | b'.' | b'e' | b'E', ..]);
        if number.is_empty() || more || number.len() > 1 && number.starts_with('0') {
            return None;
        }
        self.0 = rest;
        Id::new(Json::new(number))
    }

    fn params(&mut self) -> Option<Fields<&'a str>> {
        self.byte(b'[')?;
        let mut next = || -> Option<&'a str> {
            let string = self.string()?;
            self.byte(b',')?;
            Some(string)
        };
        let (worker, job_id, extranonce2, ntime) = (next()?, next()?, next()?, next()?);
        let nonce = self.string()?;
        let version_bits = match self.byte(b',') {
            Some(()) if self.null().is_some() => None,
            Some(()) => Some(self.string()?),
            None => None,
        };
        self.byte(b']')?;
        Some(Fields {
            worker,
            job_id,
            extranonce2,
            ntime,
            nonce,
            version_bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_miners_usually_write_takes_the_short_way() {
        let case = |line: &str, expected| assert_eq!(scan(line).is_some(), expected, "{line}");
        let params = r#""params":["name.rig","1a","00000001","67aabbcc","c0ad31ee""#;
        let rolled = format!(r#"{params},"00002000"]"#);
        case(
            &format!(r#"{{{rolled},"id":4,"method":"mining.submit"}}"#),
            true,
        );
        case(
            &format!(r#"{{"id": 4, "method": "mining.submit", {rolled}}}"#),
            true,
        );
        case(
            &format!(r#"{{"id":null,"method":"mining.submit",{params}]}}"#),
            true,
        );
        case(
            &format!(r#"{{"id":4,"method":"mining.submit",{params},null]}}"#),
            true,
        );
        // A field out of shape is judged here, too.
        case(
            r#"{"id":4,"method":"mining.submit","params":["","","x","",""]}"#,
            true,
        );
        case(
            &format!(r#"{{"id":4,"method":"mining.submit\u0000",{params}]}}"#),
            false,
        );
        case(
            &format!(r#"{{"id":"4","method":"mining.submit",{params}]}}"#),
            false,
        );
        case(&format!(r#"{{"method":"mining.submit",{params}]}}"#), false);
        case(
            r#"{"id":4,"method":"mining.authorize","params":["name","x"]}"#,
            false,
        );
    }
}
