//! The grammar of bodies: plain JSON, or a frame `$tag$content`.

use crate::wire::{BadBody, DeadLetterReason};

/// The kind of a body, by its first characters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FrameKind<'a> {
    /// A plaintext envelope.
    Open(&'a str),
    /// A frame of the Node package's cipher, with its base64. Text after a third `$` is ignored, as
    /// in the Node package, unless it is an authentication tag.
    Legacy(&'a str),
    /// A frame of the Node package's cipher, followed by an authentication tag.
    Bridge {
        /// The base64 of the frame.
        base64: &'a str,
        /// The authenticated text: everything before the tag.
        signed: &'a str,
        /// The text after `$h1`.
        suffix: &'a str,
    },
    /// A frame of version 2, with the text after its tag.
    V2(&'a str),
    /// A plaintext envelope in a format other than JSON.
    OtherFormat,
}

/// The tag of the Node package's frames. The Node package accepts any cipher of its crypto library;
/// only this one is accepted here.
pub(super) const LEGACY_TAG: &str = "aes-256-cbc";

/// The beginning of the suffix that contains an authentication tag, after its `$`.
pub(super) const BRIDGE_SUFFIX: &str = "h1";

/// The tag of frames of version 2.
pub(super) const V2_TAG: &str = "ivy2";

/// Splits a body.
pub(super) fn split(text: &str) -> Result<FrameKind<'_>, BadBody> {
    let Some(frame) = text.strip_prefix('$') else { return Ok(FrameKind::Open(text)) };
    let (tag, content) = frame
        .split_once('$')
        .filter(|(tag, _)| !tag.is_empty())
        .ok_or_else(|| BadBody::new(DeadLetterReason::BadFrame, "the frame has no tag"))?;
    if tag == LEGACY_TAG {
        let Some((base64, rest)) = content.split_once('$') else {
            return Ok(FrameKind::Legacy(content));
        };
        let suffix = rest.strip_prefix(BRIDGE_SUFFIX);
        return Ok(match suffix.filter(|suffix| suffix.is_empty() || suffix.starts_with('$')) {
            None => FrameKind::Legacy(base64),
            Some(suffix) => {
                let signed = &text[..text.len() - rest.len() - 1];
                FrameKind::Bridge { base64, signed, suffix }
            }
        });
    }
    if tag == V2_TAG {
        return Ok(FrameKind::V2(content));
    }
    if is_numbered(tag, &FORMATS) {
        return Ok(FrameKind::OtherFormat);
    }
    if is_numbered(tag, &["ivy"]) {
        return Err(BadBody::new(
            DeadLetterReason::UnsupportedVersion,
            "the frame's version is not supported here; upgrade this worker",
        ));
    }
    Err(BadBody::unknown_kind(tag))
}

/// The tags of MessagePack and Protocol Buffers, without their version.
const FORMATS: [&str; 2] = ["mp", "pb"];

/// Whether an opened text begins with the tag of another format.
pub(super) fn is_other_format(opened: &[u8]) -> bool {
    // No version has enough digits for a longer tag.
    let start = &opened[..opened.len().min(12)];
    let mut parts = start.split(|byte| *byte == b'$');
    let (Some(b""), Some(tag), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    std::str::from_utf8(tag).is_ok_and(|tag| is_numbered(tag, &FORMATS))
}

/// The format is not built in. Another worker may support it.
pub(super) fn unsupported_format() -> BadBody {
    BadBody::new(
        DeadLetterReason::UnsupportedFormat,
        "the message is in MessagePack or Protocol Buffers, which this build of ivy does not read; \
         serve its queue with a worker that does",
    )
}

/// Whether a tag is one of these kinds followed by a number.
fn is_numbered(tag: &str, kinds: &[&str]) -> bool {
    kinds
        .iter()
        .filter_map(|kind| tag.strip_prefix(kind))
        .any(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_with_a_dollar_sign() {
        assert_eq!(split(" $aes-256-cbc$AA=="), Ok(FrameKind::Open(" $aes-256-cbc$AA==")));
        assert_eq!(split("$aes-256-cbc$AA=="), Ok(FrameKind::Legacy("AA==")));
    }

    #[test]
    fn text_after_a_third_dollar_sign_is_ignored() {
        for rest in ["", "x", "h2$k$tag", "h10", "h"] {
            let text = format!("$aes-256-cbc$AA==${rest}");
            assert_eq!(split(&text), Ok(FrameKind::Legacy("AA==")), "{text}");
        }
    }

    #[test]
    fn an_authentication_tag_is_found_with_the_text_it_covers() {
        for (rest, suffix) in [("h1", ""), ("h1$", "$"), ("h1$k$tag", "$k$tag")] {
            let text = format!("$aes-256-cbc$AA==${rest}");
            let signed = "$aes-256-cbc$AA==";
            assert_eq!(split(&text), Ok(FrameKind::Bridge { base64: "AA==", signed, suffix }));
        }
    }

    #[test]
    fn other_tags_are_distinguished() {
        let reason = |text| split(text).unwrap_err().reason();
        for text in ["$", "$$", "$$x", "$aes-256-cbc", "$ivy2"] {
            assert_eq!(reason(text), DeadLetterReason::BadFrame, "{text}");
        }
        assert_eq!(split("$ivy2$k$x"), Ok(FrameKind::V2("k$x")));
        for text in ["$ivy1$k$x", "$ivy3$"] {
            assert_eq!(reason(text), DeadLetterReason::UnsupportedVersion, "{text}");
        }
        for text in ["$mp1$", "$pb1$x", "$mp2$x", "$pb07$x$y"] {
            assert_eq!(split(text), Ok(FrameKind::OtherFormat), "{text}");
            assert!(is_other_format(text.as_bytes()), "{text}");
        }
        for text in
            ["", "$", "$$", "$mp1", "mp1$", "$mp$", "$mpx$", "$MP1$", "$ivy2$", "{}", " $mp1$"]
        {
            assert!(!is_other_format(text.as_bytes()), "{text}");
        }
        for text in [
            "$AES-256-CBC$",
            "$aes-256-cbc $",
            "$ivy$",
            "$ivyx$",
            "$rot13$",
            "$mp$",
            "$mp1x$",
            "$PB1$",
        ] {
            assert_eq!(reason(text), DeadLetterReason::UnknownCipher, "{text}");
        }
    }
}
