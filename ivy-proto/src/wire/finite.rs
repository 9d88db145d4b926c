//! Rejects floats that JSON cannot represent.

use std::fmt::Display;

use serde::ser::{self, Serialize, Serializer};

type Checked = Result<(), serde_json::Error>;

/// Rejects a value that contains NaN or an infinity. `serde_json` writes them as `null`, which a
/// reader takes for an absent value.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Checked {
    value.serialize(Finite)
}

/// A serializer that writes nothing and checks all floats.
#[derive(Clone, Copy)]
struct Finite;

macro_rules! no_floats {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Checked {
            Ok(())
        })*
    };
}

macro_rules! parts {
    ($($compound:ident { $($method:ident($($name:ty)?)),* })*) => {
        $(impl ser::$compound for Finite {
            type Ok = ();
            type Error = serde_json::Error;

            $(fn $method<T: Serialize + ?Sized>(&mut self, $(_: $name,)? part: &T) -> Checked {
                part.serialize(*self)
            })*

            fn end(self) -> Checked {
                Ok(())
            }
        })*
    };
}

impl Serializer for Finite {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    no_floats! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, float: f32) -> Checked {
        self.serialize_f64(float.into())
    }

    fn serialize_f64(self, float: f64) -> Checked {
        if float.is_finite() {
            return Ok(());
        }
        Err(ser::Error::custom("it contains a float that is NaN or infinite"))
    }

    fn serialize_none(self) -> Checked {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Checked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Checked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Checked {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Checked {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Checked {
        Ok(())
    }
}

parts! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeMap { serialize_key(), serialize_value() }
    SerializeStruct { serialize_field(&'static str) }
    SerializeStructVariant { serialize_field(&'static str) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    enum Shape {
        Unit,
        One(f64),
        Two(u8, f64),
        Named { size: f64 },
    }

    #[derive(Serialize)]
    struct Wrapped(f32);

    #[derive(Serialize)]
    struct Pair(i128, Option<f64>);

    #[test]
    fn nan_and_infinity_are_found_anywhere() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(check(&bad).is_err());
            assert!(check(&Some(bad)).is_err());
            assert!(check(&[1.0, bad]).is_err());
            assert!(check(&vec![bad]).is_err());
            assert!(check(&("a", true, bad)).is_err());
            assert!(check(&BTreeMap::from([("a", bad)])).is_err());
            assert!(check(&[Shape::Unit, Shape::One(bad)]).is_err());
            assert!(check(&Shape::Two(1, bad)).is_err());
            assert!(check(&Shape::Named { size: bad }).is_err());
            assert!(check(&Wrapped(bad as f32)).is_err());
            assert!(check(&Pair(1, Some(bad))).is_err());
        }
    }

    #[test]
    fn all_other_values_are_accepted() {
        let map = BTreeMap::from([(1_u64, Some(1.5)), (2, None)]);
        let scalars = (i128::MAX, u128::MAX, 'c', -0.0, f64::MAX, f32::MIN_POSITIVE, ());
        let shapes = [Shape::Unit, Shape::One(1.0), Shape::Two(1, 2.0), Shape::Named { size: 0.0 }];
        let json = serde_json::json!({ "a": [null, 1.5, "x"] });
        let raw = serde_json::value::to_raw_value(&[1]).unwrap();
        let texts = (format_args!("x"), std::net::Ipv4Addr::LOCALHOST);
        check(&(map, scalars, shapes, json, raw, texts, Wrapped(0.0), Pair(1, None))).unwrap();
    }
}
