//! The `age` crate's errors in a line each: its own texts are many lines and translated.

use age::plugin::ResolveError;
use age::{DecryptError, EncryptError};

pub(super) fn decrypt(error: &DecryptError) -> String {
    match error {
        DecryptError::DecryptionFailed => "it does not decrypt: it is damaged".into(),
        DecryptError::ExcessiveWork { required, .. } => {
            format!("its passphrase takes too much work to check (2^{required})")
        }
        DecryptError::InvalidHeader => "its header is malformed".into(),
        DecryptError::InvalidMac => "its header was changed".into(),
        DecryptError::Io(error) => error.to_string(),
        DecryptError::KeyDecryptionFailed => "incorrect passphrase".into(),
        DecryptError::NoMatchingKeys => "no identity fits".into(),
        DecryptError::Plugin(errors) => plugin(errors),
        DecryptError::PluginResolve(error) => resolve(error),
        DecryptError::UnknownFormat => "it is of an unknown age version".into(),
        _ => "it cannot be decrypted".into(),
    }
}

pub(super) fn encrypt(error: &EncryptError) -> String {
    match error {
        EncryptError::Io(error) => error.to_string(),
        EncryptError::Plugin(errors) => plugin(errors),
        EncryptError::PluginResolve(error) => resolve(error),
        EncryptError::EncryptedIdentities(error) => decrypt(error),
        _ => "the recipient gives no usable stanza".into(),
    }
}

pub(super) fn resolve(error: &ResolveError) -> String {
    match error {
        ResolveError::InvalidPluginName { name } => format!("{name:?} is no plugin name"),
        ResolveError::MissingPlugin { binary_name } => format!("{binary_name} is not in PATH"),
        _ => "the plugin cannot be found".into(),
    }
}

/// The type of these is not public.
fn plugin(errors: &[impl std::fmt::Display]) -> String {
    let texts: Vec<_> = errors.iter().map(|error| error.to_string().replace('\n', " ")).collect();
    texts.join("; ")
}
