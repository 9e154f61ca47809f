//! What a file has besides content, owner and mode: its access control list, labels, the user's own
//! attributes.
//!
//! The list stands apart from the others, since it decides who reads the file: setting it sets the
//! rights in the mode as well.

use std::fs::File;
use std::path::Path;

/// The access control list of a file; `None` if the mode says it all.
pub(super) fn access_list(path: &Path) -> Option<Vec<u8>> {
    machine::get(path, ACCESS_LIST)
}

/// Gives a file this list, and the rights that go with it; `false` if that is not possible.
pub(super) fn set_access_list(file: &File, list: &[u8]) -> bool {
    machine::set(file, ACCESS_LIST, list)
}

/// Leaves a file with its mode alone.
pub(super) fn remove_access_list(file: &File) {
    machine::remove(file, ACCESS_LIST);
}

/// The user's own attributes and the label of SELinux, as far as they can be kept. The others are about
/// the old content (a signature, capabilities), or decide as the list does who reads it.
pub(super) fn copy(from: &Path, to: &File) {
    for name in machine::names(from).split(|&byte| byte == 0) {
        if (name.starts_with(b"user.") || name == b"security.selinux")
            && let Some(value) = machine::get(from, name)
        {
            machine::set(to, name, &value);
        }
    }
}

/// What Linux calls it.
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";

#[cfg(target_os = "linux")]
mod machine {
    use std::fs::File;
    use std::path::Path;

    use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr, listxattr};
    use rustix::io::Errno;

    /// The names of all attributes, each with a NUL behind it.
    pub(super) fn names(path: &Path) -> Vec<u8> {
        read(|names| listxattr(path, names)).unwrap_or_default()
    }

    pub(super) fn get(path: &Path, name: &[u8]) -> Option<Vec<u8>> {
        read(|value| getxattr(path, name, value))
    }

    /// In a buffer that usually does, else in one that Linux never needs more than.
    fn read(fill: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Option<Vec<u8>> {
        for size in [1 << 12, 1 << 16] {
            let mut buffer = vec![0; size];
            match fill(&mut buffer) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Some(buffer);
                }
                Err(Errno::RANGE) => {}
                Err(_) => return None,
            }
        }
        None
    }

    pub(super) fn set(file: &File, name: &[u8], value: &[u8]) -> bool {
        fsetxattr(file, name, value, XattrFlags::empty()).is_ok()
    }

    pub(super) fn remove(file: &File, name: &[u8]) {
        // It has none, or the file system has none.
        let _ = fremovexattr(file, name);
    }
}

#[cfg(not(target_os = "linux"))]
mod machine {
    use std::fs::File;
    use std::path::Path;

    pub(super) fn names(_path: &Path) -> Vec<u8> {
        Vec::new()
    }

    pub(super) fn get(_path: &Path, _name: &[u8]) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn set(_file: &File, _name: &[u8], _value: &[u8]) -> bool {
        false
    }

    pub(super) fn remove(_file: &File, _name: &[u8]) {}
}
