//! Encodings and hashes.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha2::{Digest, Sha256, Sha512};

use super::super::json::{self, Layout};
use super::super::text::{Marked, Origin, Shape};
use super::super::toml;
use super::super::value::{Kind, Map, Value};
use super::super::yaml_read::{self, Source};
use super::super::yaml_write;
use super::{Arguments, Outcome};

/// Base64 as Go reads it: bits behind the last byte may be set.
const READER: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

pub(super) fn b64enc(arguments: &Arguments<'_>) -> Outcome {
    Ok(STANDARD.encode(arguments.str(0)?).into())
}

pub(super) fn b64dec(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.str(0)?;
    let plain: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    Ok(match READER.decode(&plain) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).as_ref().into(),
        Err(_) => {
            let at = text
                .bytes()
                .position(|b| !b.is_ascii_alphanumeric() && !matches!(b, b'+' | b'/'))
                .unwrap_or(text.len());
            format!("illegal base64 data at input byte {at}").into()
        }
    })
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) fn b32enc(arguments: &Arguments<'_>) -> Outcome {
    let mut result = String::new();
    for chunk in arguments.str(0)?.as_bytes().chunks(5) {
        let mut bits = [0; 8];
        bits[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(bits);
        let used = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let value = (bits >> (35 - 5 * index)) & 31;
            let digit = BASE32.get(usize::try_from(value).unwrap_or_default()).copied().unwrap_or(b'A');
            result.push(if index < used { char::from(digit) } else { '=' });
        }
    }
    Ok(result.into())
}

pub(super) fn b32dec(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.str(0)?;
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for (at, c) in text.bytes().enumerate() {
        if c == b'=' {
            break;
        }
        let Some(value) = BASE32.iter().position(|known| *known == c) else {
            return Ok(format!("illegal base32 data at input byte {at}").into());
        };
        bits = (bits << 5) | u32::try_from(value).unwrap_or_default();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or_default());
            bits &= (1 << count) - 1;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).as_ref().into())
}

fn hex(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// A hash of something that is not known is one word, whatever that is.
fn hashed(arguments: &Arguments<'_>, hash: impl Fn(&[u8]) -> Value) -> Outcome {
    let result = hash(arguments.str(0)?.as_bytes()).at(arguments.origin);
    Ok(match arguments.value(0).shape() {
        Some(_) => result.unknown(Shape::Word),
        None => result,
    })
}

pub(super) fn sha256sum(arguments: &Arguments<'_>) -> Outcome {
    hashed(arguments, |bytes| hex(&Sha256::digest(bytes)))
}

pub(super) fn sha512sum(arguments: &Arguments<'_>) -> Outcome {
    hashed(arguments, |bytes| hex(&Sha512::digest(bytes)))
}

pub(super) fn sha1sum(arguments: &Arguments<'_>) -> Outcome {
    hashed(arguments, |bytes| hex(&sha1::Sha1::digest(bytes)))
}

pub(super) fn adler32sum(arguments: &Arguments<'_>) -> Outcome {
    hashed(arguments, |bytes| {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in bytes {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        ((b << 16) | a).to_string().into()
    })
}

pub(super) fn to_yaml(arguments: &Arguments<'_>) -> Outcome {
    Ok(placed(yaml_write::to_yaml(arguments.value(0)), arguments))
}

pub(super) fn to_yaml_pretty(arguments: &Arguments<'_>) -> Outcome {
    Ok(placed(yaml_write::to_yaml_pretty(arguments.value(0)), arguments))
}

/// Punctuation that an encoder adds has the place of what is encoded.
fn placed(text: Value, arguments: &Arguments<'_>) -> Value {
    let origin = arguments.value(0).origin.or(arguments.origin);
    text.at(origin)
}

fn json_of(arguments: &Arguments<'_>, layout: Layout, strict: bool) -> Outcome {
    match json::encode(arguments.value(0), layout) {
        Some(text) => Ok(placed(text.into(), arguments)),
        None if strict => Err("json: unsupported value".to_owned()),
        None => Ok("".into()),
    }
}

pub(super) fn to_json(arguments: &Arguments<'_>) -> Outcome {
    json_of(arguments, Layout { escapes_html: true, pretty: false }, false)
}

pub(super) fn must_to_json(arguments: &Arguments<'_>) -> Outcome {
    json_of(arguments, Layout { escapes_html: true, pretty: false }, true)
}

pub(super) fn to_pretty_json(arguments: &Arguments<'_>) -> Outcome {
    json_of(arguments, Layout { escapes_html: true, pretty: true }, false)
}

pub(super) fn to_raw_json(arguments: &Arguments<'_>) -> Outcome {
    json_of(arguments, Layout { escapes_html: false, pretty: false }, true)
}

/// What a reader of text is given, and makes of it: values that keep the places in the text.
fn read_yaml(arguments: &Arguments<'_>) -> Result<(Result<Value, String>, Marked), String> {
    let text = arguments.marked(0)?;
    let read = yaml_read::read(&text.text, &Source::Text(&text));
    Ok((read, text))
}

/// Where a part of unknown extent is in a text, so may anything be in what is read from it.
fn extent(value: Value, text: &Marked) -> Value {
    let widest = text.marks.iter().filter_map(|mark| mark.shape).max();
    match widest {
        Some(shape @ (Shape::Text | Shape::Any)) => value.unknown(shape),
        _ => value,
    }
}

fn failed(message: &str) -> Value {
    let map = Map::default();
    map.set("Error", message);
    map.into()
}

pub(super) fn from_yaml(arguments: &Arguments<'_>) -> Outcome {
    let (read, text) = read_yaml(arguments)?;
    let value = match read {
        Ok(value) if value.is_nil() => Map::default().into(),
        Ok(value) if value.as_map().is_some() => value,
        Ok(value) => failed(&mismatch(&value, "map[string]interface {}")),
        Err(error) => failed(&error),
    };
    Ok(extent(value, &text))
}

pub(super) fn from_yaml_array(arguments: &Arguments<'_>) -> Outcome {
    let (read, text) = read_yaml(arguments)?;
    let value = match read {
        Ok(value) if value.is_nil() => Vec::new().into(),
        Ok(value) if value.as_list().is_some() => value,
        Ok(value) => vec![Value::from(mismatch(&value, "[]interface {}"))].into(),
        Err(error) => vec![Value::from(error)].into(),
    };
    Ok(extent(value, &text))
}

fn mismatch(value: &Value, wanted: &str) -> String {
    let found = match &value.kind {
        Kind::Bool(_) => "bool",
        Kind::Float(_) => "number",
        Kind::Text(_) => "string",
        Kind::List(_) => "array",
        _ => "object",
    };
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type {wanted}"
    )
}

pub(super) fn from_json(arguments: &Arguments<'_>) -> Outcome {
    let wanted = "map[string]interface {}";
    Ok(match json::decode(&arguments.marked(0)?) {
        Ok(value) if value.is_nil() => Value::NIL,
        Ok(value) if value.as_map().is_some() => value,
        Ok(value) => failed(&mismatch_json(&value, wanted)),
        Err(error) => failed(&error),
    })
}

fn mismatch_json(value: &Value, wanted: &str) -> String {
    mismatch(value, wanted).replace("error unmarshaling JSON: while decoding JSON: ", "")
}

pub(super) fn from_json_array(arguments: &Arguments<'_>) -> Outcome {
    Ok(match json::decode(&arguments.marked(0)?) {
        Ok(value) if value.is_nil() => Vec::new().into(),
        Ok(value) if value.as_list().is_some() => value,
        Ok(value) => vec![Value::from(mismatch_json(&value, "[]interface {}"))].into(),
        Err(error) => vec![Value::from(error)].into(),
    })
}

pub(super) fn must_from_json(arguments: &Arguments<'_>) -> Outcome {
    json::decode(&arguments.marked(0)?)
}

pub(super) fn to_toml(arguments: &Arguments<'_>) -> Outcome {
    let text = toml::encode(arguments.value(0)).unwrap_or_else(|error| error);
    Ok(place(text.into(), arguments))
}

pub(super) fn must_to_toml(arguments: &Arguments<'_>) -> Outcome {
    Ok(place(Value::from(toml::encode(arguments.value(0))?), arguments))
}

fn place(value: Value, arguments: &Arguments<'_>) -> Value {
    value.at(arguments.value(0).origin.or(arguments.origin))
}

pub(super) fn from_toml(arguments: &Arguments<'_>) -> Outcome {
    let origin = arguments.value(0).origin.or(arguments.origin);
    Ok(toml::decode(arguments.str(0)?, origin).unwrap_or_else(|error| failed(&error)))
}

/// Something in the place of certificates and keys, which are made anew each time.
pub(super) fn certificate(_: &Arguments<'_>) -> Outcome {
    let map = Map::default();
    map.insert("Cert", Origin::NONE, Value::from("CERTIFICATE").unknown(Shape::Text));
    map.insert("Key", Origin::NONE, Value::from("KEY").unknown(Shape::Text));
    Ok(map.into())
}

/// Something in the place of a word that is made anew each time.
pub(super) fn random(arguments: &Arguments<'_>) -> Outcome {
    let length = match arguments.value(0).kind {
        Kind::Int(length, _) if arguments.len() == 1 => usize::try_from(length).unwrap_or_default().min(4096),
        _ => 32,
    };
    Ok("x".repeat(length).into())
}

/// A line of a password file: the name, and something in the place of the hash.
pub(super) fn htpasswd(arguments: &Arguments<'_>) -> Outcome {
    Ok(format!("{}:{}", arguments.str(0)?, "x".repeat(60)).into())
}

/// Something in the place of a whole number.
pub(super) fn random_int(arguments: &Arguments<'_>) -> Outcome {
    Ok(Value::int(arguments.int(0)?))
}

pub(super) fn key(_: &Arguments<'_>) -> Outcome {
    Ok("KEY".into())
}
