//! The memory of a program that was ended by a signal, as a file: it would hold data keys and plaintext.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Has the system write no such file of this process. A program that it starts may ask for one again.
pub fn none() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Core);
    // A limit may always be lowered. Where it cannot be, the user's own stands.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}
