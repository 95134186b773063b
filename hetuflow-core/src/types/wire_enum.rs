//! One macro for every enum of the wire: snake_case text out, text, number and old names in.
//!
//! The database stores the same text (with a CHECK in the schema), so that a row reads in `psql`
//! as it reads in JSON.

/// Defines an enum with its wire name, its number and its accepted aliases.
///
/// `Variant = 10 => "name" | "alias"`: `name` is what is written, every form is read.
#[macro_export]
macro_rules! wire_enum {
  (
    $(#[$meta:meta])*
    pub enum $name:ident {
      $( $(#[$vmeta:meta])* $variant:ident = $number:literal => $text:literal $(| $alias:literal)* ),+ $(,)?
    }
  ) => {
    $(#[$meta])*
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    #[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
    #[cfg_attr(feature = "with-openapi", schema(rename_all = "snake_case"))]
    pub enum $name {
      $( $(#[$vmeta])* $variant ),+
    }

    impl $name {
      /// Every variant, in the order of its definition.
      pub const ALL: &'static [Self] = &[ $( Self::$variant ),+ ];

      /// The name on the wire and in the database.
      pub const fn as_str(self) -> &'static str {
        match self { $( Self::$variant => $text ),+ }
      }

      /// The number that older peers send.
      pub const fn number(self) -> i32 {
        match self { $( Self::$variant => $number ),+ }
      }

      /// Reads the number of an older peer.
      pub const fn from_number(number: i64) -> Option<Self> {
        match number { $( $number => Some(Self::$variant), )+ _ => None }
      }

      fn from_text(text: &str) -> Option<Self> {
        $( if text == $text || text == stringify!($variant) $(|| text == $alias)* {
          return Some(Self::$variant);
        } )+
        None
      }

      /// All accepted names, for error messages.
      pub fn expected() -> String {
        let names: Vec<&str> = Self::ALL.iter().map(|v| v.as_str()).collect();
        names.join(", ")
      }
    }

    impl std::fmt::Display for $name {
      fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
      }
    }

    impl std::str::FromStr for $name {
      type Err = $crate::types::UnknownName;
      fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text).ok_or_else(|| $crate::types::UnknownName {
          kind: stringify!($name), value: text.chars().take(64).collect(), expected: Self::expected(),
        })
      }
    }

    impl serde::Serialize for $name {
      fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
      }
    }

    impl<'de> serde::Deserialize<'de> for $name {
      fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl serde::de::Visitor<'_> for Names {
          type Value = $name;
          fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "one of {}", $name::expected())
          }
          fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
            text.parse().map_err(E::custom)
          }
          fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
            $name::from_number(number).ok_or_else(|| E::custom(format_args!(
              "unknown {} number {number}, expected one of {}", stringify!($name), $name::expected())))
          }
          fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
            self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
          }
        }
        deserializer.deserialize_any(Names)
      }
    }

    #[cfg(feature = "with-db")]
    impl<DB: sqlx::Database> sqlx::Type<DB> for $name where String: sqlx::Type<DB> {
      fn type_info() -> DB::TypeInfo { <String as sqlx::Type<DB>>::type_info() }
      fn compatible(ty: &DB::TypeInfo) -> bool { <String as sqlx::Type<DB>>::compatible(ty) }
    }

    #[cfg(feature = "with-db")]
    impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name where String: sqlx::Encode<'q, DB> {
      fn encode_by_ref(
        &self, buf: &mut <DB as sqlx::Database>::ArgumentBuffer,
      ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        <String as sqlx::Encode<'q, DB>>::encode(self.as_str().to_owned(), buf)
      }
    }

    #[cfg(feature = "with-db")]
    impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name where &'r str: sqlx::Decode<'r, DB> {
      fn decode(value: <DB as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(<&str as sqlx::Decode<'r, DB>>::decode(value)?.parse()?)
      }
    }
  };
}

/// A name that the enum does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} \"{value}\", expected one of {expected}")]
pub struct UnknownName {
  /// The enum that was asked.
  pub kind: &'static str,
  /// What was given, shortened.
  pub value: String,
  /// The names that would be accepted.
  pub expected: String,
}
