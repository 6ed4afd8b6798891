//! Tokens that say who a client is and what it may do: JSON Web Tokens (RFC 7519), signed by somebody whom the operator
//! trusts.
//!
//! Claims: `sub` is the user, `exp` the second at which it ends, `rooms` the rights by room pattern. `nbf` is kept to,
//! `iss` and `aud` have to be what the operator wants, where they want something. Other claims are ignored.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind};
use loquic_wire::{RoomName, RoomPattern, UserName, name::NameError};
use serde::{Deserialize, Serialize};

use crate::config::limits;

/// One thing that a token may allow in the rooms of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Joining, history, watching, and one's own read mark.
    Read,
    /// Appending, deleting what one has appended, ephemerals.
    Publish,
    /// Seeing who is there.
    Presence,
    /// Deleting what others have appended.
    Moderate,
}

impl Right {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Self); 4] =
        [("read", Self::Read), ("publish", Self::Publish), ("presence", Self::Presence), ("moderate", Self::Moderate)];
}

impl fmt::Display for Right {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::ALL.iter().find(|(_, right)| right == self).map_or(Ok(()), |(name, _)| out.write_str(name))
    }
}

impl FromStr for Right {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, right)| *right);
        found.ok_or_else(|| format!("{text:?} is no right; there are {names}"))
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it is.
    pub user: UserName,
    /// The Unix second at which it ends.
    pub expires: u64,
    /// What it allows where. The rights of all patterns that match a room add up.
    pub rooms: Vec<(RoomPattern, Vec<Right>)>,
}

impl Claims {
    /// Whether it allows this in this room.
    pub fn may(&self, right: Right, room: &RoomName) -> bool {
        self.rooms.iter().any(|(pattern, rights)| rights.contains(&right) && pattern.matches(room))
    }

    /// Whether it allows this in every room whose name begins with `prefix`.
    pub fn may_all(&self, right: Right, prefix: &str) -> bool {
        self.rooms.iter().any(|(pattern, rights)| rights.contains(&right) && covers(pattern.as_str(), prefix))
    }
}

/// Whether a pattern matches every room name that begins with `prefix`: its segments before `**` have to match whole
/// segments of the prefix.
fn covers(pattern: &str, prefix: &str) -> bool {
    let mut whole: Vec<&str> = prefix.split(':').collect();
    whole.pop();
    let Some(fixed) = pattern.strip_suffix("**") else { return false };
    let fixed: Vec<&str> = fixed.split_terminator(':').collect();
    fixed.len() <= whole.len() && fixed.iter().zip(whole).all(|(fixed, whole)| *fixed == "*" || *fixed == whole)
}

/// The JSON that is signed.
#[derive(Serialize, Deserialize)]
struct Body {
    sub: String,
    exp: u64,
    rooms: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    aud: Option<String>,
}

impl TryFrom<Body> for Claims {
    type Error = TokenError;

    fn try_from(body: Body) -> Result<Self, TokenError> {
        let bad = |what: &str, error: NameError| TokenError::Bad(format!("{what}: {error}"));
        let user = UserName::new(&body.sub).map_err(|error| bad("sub", error))?;
        let rooms = body.rooms.into_iter().map(|(pattern, rights)| {
            let rights = rights.iter().map(|right| right.parse()).collect::<Result<_, _>>();
            let rights = rights.map_err(|error| TokenError::Bad(format!("rooms.{pattern:?}: {error}")))?;
            Ok((RoomPattern::new(&pattern).map_err(|error| bad("rooms", error))?, rights))
        });
        Ok(Self { user, expires: body.exp, rooms: rooms.collect::<Result<_, _>>()? })
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It never was, or not here.
    #[error("the token is not valid here: {0}")]
    Bad(String),
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file.
    #[error("cannot read the key of tokens from {path}: {error}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A secret that can be guessed.
    #[error(
        "the secret in {path} has {length} bytes; it needs at least {min}. `openssl rand -base64 33 > {path}` makes one",
        path = path.display(),
        min = limits::TOKEN_SECRET_BYTES_MIN,
    )]
    Short {
        /// Which file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    /// No key, or one of another sort.
    #[error("{path} holds no {which} key in PEM of Ed25519, P-256 or RSA")]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// Public or private.
        which: &'static str,
    },
}

/// What a file holds.
enum Key {
    /// A secret that who signs and who checks share (HS256).
    Secret(Vec<u8>),
    /// PEM: of Ed25519 (EdDSA), P-256 (ES256) or RSA (RS256).
    Pem(Vec<u8>),
}

impl Key {
    /// PEM says what it is, so that a public key is never taken for a secret.
    fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes = fs::read(path).map_err(|error| KeyError::Unreadable { path: path.into(), error })?;
        if bytes.windows(PEM.len()).any(|window| window == PEM) {
            return Ok(Self::Pem(bytes));
        }
        // The end of its line does not belong to it.
        let secret = bytes.trim_ascii_end().to_vec();
        if secret.len() < limits::TOKEN_SECRET_BYTES_MIN {
            return Err(KeyError::Short { path: path.into(), length: secret.len() });
        }
        Ok(Self::Secret(secret))
    }
}

const PEM: &[u8] = b"-----BEGIN";

/// Tells which tokens are good.
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Reads the secret, or the public key, that tokens are checked with. The algorithm follows from the key and never
    /// from the token.
    pub fn open(path: &Path, issuer: Option<&str>, audience: Option<&str>) -> Result<Self, KeyError> {
        let (key, algorithm) = match Key::read(path)? {
            Key::Secret(secret) => (DecodingKey::from_secret(&secret), Algorithm::HS256),
            Key::Pem(pem) => {
                let kinds = [
                    (DecodingKey::from_ed_pem(&pem), Algorithm::EdDSA),
                    (DecodingKey::from_ec_pem(&pem), Algorithm::ES256),
                    (DecodingKey::from_rsa_pem(&pem), Algorithm::RS256),
                ];
                let found = kinds.into_iter().find_map(|(key, algorithm)| Some((key.ok()?, algorithm)));
                found.ok_or_else(|| KeyError::Unknown { path: path.into(), which: "public" })?
            }
        };
        let mut validation = Validation::new(algorithm);
        validation.leeway = limits::TOKEN_LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_aud = audience.is_some();
        if let Some(audience) = audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        if let Some(issuer) = issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        Ok(Self { key, validation })
    }

    /// What a token says, if it is good now.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let decoded = decode::<Body>(token, &self.key, &self.validation).map_err(|error| match error.kind() {
            ErrorKind::ExpiredSignature => TokenError::Expired,
            ErrorKind::InvalidSignature => TokenError::Bad("it was not signed with the key that is trusted".into()),
            ErrorKind::ImmatureSignature => TokenError::Bad("it begins later (nbf)".into()),
            ErrorKind::InvalidIssuer => TokenError::Bad("it is from another issuer (iss)".into()),
            ErrorKind::InvalidAudience => TokenError::Bad("it is for somebody else (aud)".into()),
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
                TokenError::Bad(format!("it is not signed with {:?}", self.validation.algorithms))
            }
            ErrorKind::MissingRequiredClaim(claim) => TokenError::Bad(format!("it has no {claim}")),
            ErrorKind::Json(error) => TokenError::Bad(format!("its JSON is not that of a token: {error}")),
            _ => TokenError::Bad("it is no JSON Web Token".into()),
        })?;
        decoded.claims.try_into()
    }
}

/// Makes tokens.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
}

impl Signer {
    /// Reads the secret, or the private key, that tokens are signed with.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let (key, algorithm) = match Key::read(path)? {
            Key::Secret(secret) => (EncodingKey::from_secret(&secret), Algorithm::HS256),
            Key::Pem(pem) => {
                let kinds = [
                    (EncodingKey::from_ed_pem(&pem), Algorithm::EdDSA),
                    (EncodingKey::from_ec_pem(&pem), Algorithm::ES256),
                    (EncodingKey::from_rsa_pem(&pem), Algorithm::RS256),
                ];
                let found = kinds.into_iter().find_map(|(key, algorithm)| Some((key.ok()?, algorithm)));
                found.ok_or_else(|| KeyError::Unknown { path: path.into(), which: "private" })?
            }
        };
        Ok(Self { key, algorithm })
    }

    /// Signs.
    pub fn sign(&self, claims: &Claims, issuer: Option<&str>, audience: Option<&str>) -> Result<String, String> {
        let mut rooms = BTreeMap::<_, Vec<_>>::new();
        for (pattern, rights) in &claims.rooms {
            rooms.entry(pattern.as_str().to_owned()).or_default().extend(rights.iter().map(ToString::to_string));
        }
        let (iss, aud) = (issuer.map(Into::into), audience.map(Into::into));
        let body = Body { sub: claims.user.to_string(), exp: claims.expires, rooms, iss, aud };
        encode(&Header::new(self.algorithm), &body, &self.key).map_err(|error| format!("cannot sign: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 4_000_000_000;

    fn secret() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        (dir, path)
    }

    fn claims() -> Claims {
        let rooms = vec![
            (RoomPattern::new("chat:**").unwrap(), vec![Right::Read, Right::Publish]),
            (RoomPattern::new("news:*").unwrap(), vec![Right::Read]),
        ];
        Claims { user: UserName::new("alice").unwrap(), expires: NOW, rooms }
    }

    fn room(name: &str) -> RoomName {
        RoomName::new(name).unwrap()
    }

    #[test]
    fn what_was_signed_is_what_is_verified() {
        let (_dir, key) = secret();
        let token = Signer::open(&key).unwrap().sign(&claims(), Some("us"), Some("loquic")).unwrap();
        for (issuer, audience) in
            [(None, None), (Some("us"), None), (None, Some("loquic")), (Some("us"), Some("loquic"))]
        {
            assert_eq!(Verifier::open(&key, issuer, audience).unwrap().verify(&token), Ok(claims()));
        }
        for (issuer, audience, word) in [(Some("them"), None, "iss"), (None, Some("other"), "aud")] {
            let error = Verifier::open(&key, issuer, audience).unwrap().verify(&token).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        let bare = Signer::open(&key).unwrap().sign(&claims(), None, None).unwrap();
        for (issuer, audience) in [(Some("us"), None), (None, Some("loquic"))] {
            assert!(Verifier::open(&key, issuer, audience).unwrap().verify(&bare).is_err(), "the claim is missing");
        }
    }

    #[test]
    fn rights_hold_in_the_rooms_of_their_pattern() {
        let claims = claims();
        assert!(claims.may(Right::Read, &room("chat:a:b")) && claims.may(Right::Publish, &room("chat:a")));
        assert!(claims.may(Right::Read, &room("news:today")) && !claims.may(Right::Publish, &room("news:today")));
        assert!(!claims.may(Right::Read, &room("chat")) && !claims.may(Right::Presence, &room("chat:a")));
        assert!(!claims.may(Right::Read, &room("chatter:a")));
    }

    #[test]
    fn a_prefix_is_allowed_only_if_every_room_behind_it_is() {
        let all = |pattern: &str, prefix: &str| covers(pattern, prefix);
        assert!(all("**", "") && all("**", "any") && all("chat:**", "chat:") && all("chat:**", "chat:a:b"));
        assert!(all("*:**", "chat:") && all("*:a:**", "chat:a:x"));
        assert!(
            !all("chat:**", "") && !all("chat:**", "chat") && !all("chat:**", "cha"),
            "chatter:a begins so as well"
        );
        assert!(!all("chat:*", "chat:") && !all("chat:a", "chat:a") && !all("*:b:**", "chat:a:"));
    }

    #[test]
    fn what_is_wrong_with_a_token_is_said() {
        let (dir, key) = secret();
        let verifier = Verifier::open(&key, None, None).unwrap();
        let signer = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
        let sign = |header: Header, body: &str| {
            encode(&header, &serde_json::from_str::<serde_json::Value>(body).unwrap(), &signer).unwrap()
        };
        let good = r#"{"sub":"alice","exp":4000000000,"rooms":{"chat:**":["read"]}}"#;
        assert!(verifier.verify(&sign(Header::default(), good)).is_ok());
        for (token, word) in [
            (sign(Header::default(), r#"{"sub":"alice","rooms":{}}"#), "exp"),
            (sign(Header::default(), r#"{"exp":4000000000,"rooms":{}}"#), "sub"),
            (sign(Header::default(), r#"{"sub":"alice","exp":4000000000}"#), "rooms"),
            (sign(Header::default(), r#"{"sub":"","exp":4000000000,"rooms":{}}"#), "sub"),
            (sign(Header::default(), r#"{"sub":"a","exp":4000000000,"rooms":{"a b":[]}}"#), "rooms"),
            (sign(Header::default(), r#"{"sub":"a","exp":4000000000,"rooms":{"a":["fly"]}}"#), "fly"),
            (sign(Header::default(), r#"{"sub":"a","exp":4000000000,"nbf":3999999999,"rooms":{}}"#), "nbf"),
            (sign(Header::new(Algorithm::HS512), good), "HS256"),
            (sign(Header::default(), good).replace('.', ".A"), "not"),
            ("x".into(), "no JSON Web Token"),
            (String::new(), "no JSON Web Token"),
            // What is signed with nothing, {"alg":"none"}.
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo0MDAwMDAwMDAwLCJyb29tcyI6e319.".into(), "not"),
        ] {
            let error = verifier.verify(&token).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
        let old = sign(Header::default(), r#"{"sub":"alice","exp":1000,"rooms":{}}"#);
        assert_eq!(verifier.verify(&old), Err(TokenError::Expired));
        let other = dir.path().join("other");
        fs::write(&other, "another secret that is long enough").unwrap();
        let other = Verifier::open(&other, None, None).unwrap();
        assert!(other.verify(&sign(Header::default(), good)).unwrap_err().to_string().contains("trusted"));
    }

    #[test]
    fn keys_of_each_sort_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = [(&rcgen::PKCS_ED25519, Algorithm::EdDSA), (&rcgen::PKCS_ECDSA_P256_SHA256, Algorithm::ES256)];
        for (kind, algorithm) in kinds {
            let pair = rcgen::KeyPair::generate_for(kind).unwrap();
            let (private, public) = (dir.path().join("private.pem"), dir.path().join("public.pem"));
            fs::write(&private, pair.serialize_pem()).unwrap();
            fs::write(&public, pair.public_key_pem()).unwrap();
            let signer = Signer::open(&private).unwrap();
            assert_eq!(signer.algorithm, algorithm);
            let token = signer.sign(&claims(), None, None).unwrap();
            let verifier = Verifier::open(&public, None, None).unwrap();
            assert_eq!(verifier.verify(&token), Ok(claims()));
            // Who takes a public key for a secret could be deceived by whoever knows it.
            let (_dir, shared) = secret();
            let shared = Signer::open(&shared).unwrap().sign(&claims(), None, None).unwrap();
            assert!(verifier.verify(&shared).is_err());
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let error = Verifier::open(&path, None, None).err().unwrap();
        assert!(matches!(error, KeyError::Unreadable { .. }) && error.to_string().contains("key"), "{error}");
        fs::write(&path, "short").unwrap();
        let error = Verifier::open(&path, None, None).err().unwrap();
        assert!(matches!(error, KeyError::Short { length: 5, .. }), "{error}");
        fs::write(&path, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").unwrap();
        let error = Verifier::open(&path, None, None).err().unwrap();
        assert!(matches!(error, KeyError::Unknown { .. }), "{error}");
    }
}
