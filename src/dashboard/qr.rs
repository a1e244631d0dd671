//! A text as a QR code, drawn as SVG.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// What must stay empty around a code, in modules (ISO/IEC 18004).
const QUIET: i32 = 4;

/// The code as a whole `svg` element without any text of the caller's in it; nothing where the text is
/// longer than a code can hold.
pub(super) fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let whole = size + 2 * QUIET;
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
        }
    }
    Some(format!(
        r#"<svg class="qr" role="img" aria-label="{label}" viewBox="0 0 {whole} {whole}" shape-rendering="crispEdges"><path class="paper" d="M0 0h{whole}v{whole}H0z"/><path class="ink" d="{path}"/></svg>"#
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_eyes_and_no_text_of_the_callers() {
        let svg = svg("stratum+tcp://<script>:3333", "a code").unwrap();
        assert!(!svg.contains("script"));
        // The corner of the first eye.
        assert!(svg.contains("M4 4h1v1h-1z"));
        assert!(super::svg(&"x".repeat(4_000), "a code").is_none());
    }
}
