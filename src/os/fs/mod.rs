//! Files: read whole, replaced whole or not at all.
//!
//! Invariants: no file is ever truncated in place; after an error the old file stands as it was and
//! no temporary file is left; after a kill at any moment the old or the new file stands whole, and
//! the next write in that directory removes what was left there. The one exception is a file that is
//! mounted by itself, which no program can replace: see `in_place`.

mod attributes;
mod commit;
mod folder;
mod in_place;
mod own;
mod prepare;
mod read;
mod steps;
mod target;
mod temp;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub use self::folder::{FolderError, make_folders};
pub use self::in_place::interrupted_copy;
pub use self::own::own_place;
pub use self::read::{ReadError, read, read_bytes, read_end};
pub use self::target::{leads_out, name, place};
pub use self::walk::files_below;
pub use self::write::{
    Before, Job, Note, Swept, WriteError, Written, create_private, replace, replace_all,
    replace_own,
};
