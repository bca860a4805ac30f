//! A message as a line of JSON.

use serde_json::json;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `{"message":"text"}`, or `{"base64":"..."}` where it is no UTF-8.
pub fn line(message: &[u8]) -> String {
    let object = match std::str::from_utf8(message) {
        Ok(text) => json!({ "message": text }),
        Err(_) => json!({ "base64": base64(message) }),
    };
    format!("{object}\n")
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn text_stays_text_and_other_bytes_are_base64() {
        assert_eq!(line("é\n".as_bytes()), "{\"message\":\"é\\n\"}\n");
        assert_eq!(line(b""), "{\"message\":\"\"}\n");
        assert_eq!(line(b"\xff"), "{\"base64\":\"/w==\"}\n");
    }
}
