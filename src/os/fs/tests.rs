use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::steps::Steps;
use super::temp::path_for;
use super::write::replace_all_by;
use super::{
    Before, Job, Note, ReadError, Swept, WriteError, interrupted_copy, name, place, read, replace,
    replace_all,
};

const OLD: &[u8] = b"old: content\n";
const NEW: &[u8] = b"new: content, longer than the old one\n";

/// What goes wrong at one step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The step fails.
    Error(io::ErrorKind),
    /// The write takes this many bytes, the next one fails.
    Short(usize),
    /// The process is killed before the step is done.
    Kill,
    /// The process is killed after this many bytes are written.
    KillAfter(usize),
}

/// The machine, with a fault at the step of this number.
struct Faulty {
    at: usize,
    fault: Fault,
    count: AtomicUsize,
    /// Files are mounted by themselves: no rename takes their place.
    mounted: bool,
}

impl Faulty {
    fn new(at: usize, fault: Fault) -> Self {
        Self { at, fault, count: AtomicUsize::new(0), mounted: false }
    }

    fn mounted(at: usize, fault: Fault) -> Self {
        Self { mounted: true, ..Self::new(at, fault) }
    }

    fn step(&self) -> io::Result<()> {
        if self.count.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(());
        }
        match self.fault {
            Fault::Error(kind) => Err(kind.into()),
            Fault::Kill => die(),
            Fault::Short(_) | Fault::KillAfter(_) => Ok(()),
        }
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    unreachable!("a killed process does not go on")
}

struct Real;
impl Steps for Real {}

impl Steps for Faulty {
    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        self.step()?;
        Real.create(path, mode)
    }

    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize> {
        let first = self.count.load(Ordering::Relaxed) == self.at;
        self.step()?;
        match self.fault {
            Fault::Short(count) if first => Real.write(file, &bytes[..count.min(bytes.len())]),
            Fault::Short(_) if self.count.load(Ordering::Relaxed) == self.at + 2 => {
                Err(io::ErrorKind::StorageFull.into())
            }
            Fault::KillAfter(count) if first => {
                Real.write(file, &bytes[..count.min(bytes.len())])?;
                die()
            }
            _ => Real.write(file, bytes),
        }
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        self.step()?;
        Real.set_mode(file, mode)
    }

    fn set_owner(&self, file: &File, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        self.step()?;
        Real.set_owner(file, uid, gid)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step()?;
        Real.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        if self.mounted {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Real.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Real.rename_new(from, to)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        Real.open(path)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Real.link(from, to)
    }

    fn reserve(&self, file: &File, length: usize) -> io::Result<()> {
        self.step()?;
        Real.reserve(file, length)
    }

    fn set_length(&self, file: &File, length: usize) -> io::Result<()> {
        self.step()?;
        Real.set_length(file, length)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        Real.sync_directory(path)
    }
}

fn directory_with_old() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file.yaml");
    fs::write(&path, OLD).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
    (dir, path)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_with_its_mode() {
    let (dir, path) = directory_with_old();
    let written = replace(&path, NEW, Before::Content(OLD)).expect("replaced");
    assert_eq!(written.notes, []);
    assert_eq!(fs::read(&path).expect("read"), NEW);
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
    assert_eq!(names(dir.path()), ["file.yaml"]);
}

#[test]
fn a_new_file_has_the_mode_of_any_new_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    File::create(&theirs).expect("created");
    replace(&ours, NEW, Before::Nothing).expect("written").notes.clear();
    let mode = |path| fs::metadata(path).expect("there").mode();
    assert_eq!(mode(&ours), mode(&theirs));
    let again = replace(&ours, OLD, Before::Nothing);
    assert!(matches!(again, Err(WriteError::Exists)));
}

#[test]
fn owner_and_group_are_kept_where_that_is_allowed() {
    let (_dir, path) = directory_with_old();
    // Only root can give files away; for others the owner is their own anyway.
    let given = std::os::unix::fs::chown(&path, Some(1234), Some(5678)).is_ok();
    let before = fs::metadata(&path).expect("there");
    let written = replace(&path, NEW, Before::Anything).expect("replaced");
    let after = fs::metadata(&path).expect("there");
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
    assert_eq!(given, after.uid() == 1234);
    assert_eq!(written.notes, []);
}

#[test]
fn a_group_that_cannot_be_kept_gives_no_rights_to_ours() {
    struct NoOwner;
    impl Steps for NoOwner {
        fn set_owner(&self, _: &File, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let (_dir, path) = directory_with_old();
    if std::os::unix::fs::chown(&path, Some(1234), Some(5678)).is_err() {
        return; // Without root no file can have another owner.
    }
    let job = Job { path: &path, content: NEW, before: Before::Anything, private: false };
    let written = replace_all_by(&NoOwner, &[job]).remove(0).expect("replaced");
    assert_eq!(written.notes, [Note::Owner, Note::Group]);
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
}

#[test]
fn symlinks_are_followed() {
    let (dir, path) = directory_with_old();
    fs::create_dir(dir.path().join("sub")).expect("made");
    let (first, second) = (dir.path().join("first"), dir.path().join("sub/second"));
    symlink("sub/second", &first).expect("linked");
    symlink("../file.yaml", &second).expect("linked");
    replace(&first, NEW, Before::Content(OLD)).expect("replaced").notes.clear();
    assert_eq!(fs::read(&path).expect("read"), NEW);
    assert!(fs::symlink_metadata(&first).expect("there").is_symlink());
    let dangling = dir.path().join("dangling");
    symlink("new", &dangling).expect("linked");
    replace(&dangling, NEW, Before::Anything).expect("written").notes.clear();
    assert_eq!(fs::read(dir.path().join("new")).expect("read"), NEW);
    let circle = dir.path().join("circle");
    symlink("circle", &circle).expect("linked");
    assert!(replace(&circle, NEW, Before::Anything).is_err());
}

#[test]
fn pipes_and_devices_are_written_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let fifo = dir.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("made");
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || read(&fifo)
    });
    replace(&fifo, NEW, Before::Anything).expect("written").notes.clear();
    assert_eq!(reader.join().expect("joined").expect("read").as_bytes(), NEW);
    assert_eq!(names(dir.path()), ["fifo"]);
    replace(Path::new("/dev/null"), NEW, Before::Anything).expect("written").notes.clear();
}

#[test]
fn what_cannot_be_written_says_why() {
    let (dir, path) = directory_with_old();
    let result = |path: &Path, before| replace(path, NEW, before).expect_err("an error");
    assert!(matches!(result(dir.path(), Before::Anything), WriteError::IsDirectory));
    let nowhere = dir.path().join("none/file");
    assert!(matches!(result(&nowhere, Before::Anything), WriteError::NoDirectory));
    assert!(matches!(result(&path, Before::Nothing), WriteError::Exists));
    assert!(matches!(result(&path, Before::Content(b"other")), WriteError::Changed));
    assert!(matches!(result(&dir.path().join("x"), Before::Content(OLD)), WriteError::Changed));
    let link = dir.path().join("link");
    symlink("new", &link).expect("linked");
    assert!(matches!(result(&link, Before::Nothing), WriteError::LeadsNowhere));
    assert_eq!(names(dir.path()), ["file.yaml", "link"]);
}

#[test]
fn hard_links_are_told() {
    let (dir, path) = directory_with_old();
    fs::hard_link(&path, dir.path().join("other")).expect("linked");
    let written = replace(&path, NEW, Before::Anything).expect("replaced");
    assert_eq!(written.notes, [Note::HardLinks]);
}

#[test]
fn names_of_any_length_are_written() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["x".repeat(255), format!("{}é", "é".repeat(126)), "y".repeat(241)] {
        let path = dir.path().join(&name);
        replace(&path, NEW, Before::Nothing).expect("written").notes.clear();
        assert_eq!(fs::read(&path).expect("read"), NEW);
    }
    assert_eq!(names(dir.path()).len(), 3);
}

#[test]
fn attributes_are_kept_where_the_file_system_has_them() {
    let (_dir, path) = directory_with_old();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&path, "user.waxseal", b"kept", flags).is_ok() {
        replace(&path, NEW, Before::Anything).expect("replaced").notes.clear();
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(&path, "user.waxseal", &mut value).expect("kept");
        assert_eq!(&value[..length], b"kept");
    }
}

/// A list as Linux keeps it: its version, then kind, rights and number of each entry.
#[cfg(target_os = "linux")]
fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|&(kind, rights, id)| {
        let start = [kind.to_le_bytes(), rights.to_le_bytes()].concat();
        [start, id.to_le_bytes().to_vec()].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

/// The group may do nothing, the user 1234 may read and write: the mode shows 660.
#[cfg(target_os = "linux")]
fn list_of_one() -> Vec<u8> {
    let none = u32::MAX;
    access_list(&[(1, 6, none), (2, 6, 1234), (4, 0, none), (16, 6, none), (32, 0, none)])
}

#[cfg(target_os = "linux")]
const ACCESS_LIST: &str = "system.posix_acl_access";

/// `false`: a file system without lists.
#[cfg(target_os = "linux")]
fn set_list(path: &Path, name: &str, list: &[u8]) -> bool {
    match rustix::fs::setxattr(path, name, list, rustix::fs::XattrFlags::empty()) {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error, rustix::io::Errno::OPNOTSUPP);
            false
        }
    }
}

#[cfg(target_os = "linux")]
fn list_of(path: &Path) -> Option<Vec<u8>> {
    let mut list = [0; 256];
    let length = rustix::fs::getxattr(path, ACCESS_LIST, &mut list).ok()?;
    Some(list[..length].to_vec())
}

#[cfg(target_os = "linux")]
#[test]
fn an_access_control_list_is_kept_and_a_folder_gives_none() {
    let (dir, path) = directory_with_old();
    if !set_list(&path, ACCESS_LIST, &list_of_one()) {
        return;
    }
    let written = replace(&path, NEW, Before::Anything).expect("replaced");
    assert_eq!(written.notes, []);
    assert_eq!(list_of(&path), Some(list_of_one()));
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o660);
    // What a folder gives to new files is not for one that takes the place of an old file.
    assert!(set_list(dir.path(), "system.posix_acl_default", &list_of_one()));
    let plain = dir.path().join("plain");
    File::create(&plain).expect("created");
    rustix::fs::removexattr(&plain, ACCESS_LIST).expect("given by the folder");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).expect("mode");
    replace(&plain, NEW, Before::Anything).expect("replaced").notes.clear();
    assert_eq!(list_of(&plain), None);
    assert_eq!(fs::metadata(&plain).expect("there").mode() & 0o7777, 0o640);
}

#[cfg(target_os = "linux")]
#[test]
fn a_list_does_not_widen_what_the_lost_group_leaves() {
    struct NoOwner;
    impl Steps for NoOwner {
        fn set_owner(&self, _: &File, _: Option<u32>, _: Option<u32>) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let (_dir, path) = directory_with_old();
    if !set_list(&path, ACCESS_LIST, &list_of_one())
        || std::os::unix::fs::chown(&path, None, Some(5678)).is_err()
    {
        return; // Without root no file can have any other group.
    }
    let job = Job { path: &path, content: NEW, before: Before::Anything, private: false };
    let written = replace_all_by(&NoOwner, &[job]).remove(0).expect("replaced");
    assert_eq!(written.notes, [Note::Group, Note::AccessList]);
    assert_eq!(list_of(&path), None);
    assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o600);
}

/// Somebody else makes the file just before it gets its name.
struct Overtaken {
    renames: bool,
    links: bool,
}

impl Steps for Overtaken {
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::write(to, OLD).expect("written");
        if self.renames {
            Real.rename_new(from, to)
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.links { Real.link(from, to) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

#[test]
fn a_file_that_appears_at_the_last_moment_is_not_replaced() {
    for (renames, links) in [(true, true), (false, true), (false, false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file.yaml");
        let job = Job { path: &path, content: NEW, before: Before::Nothing, private: false };
        let result = replace_all_by(&Overtaken { renames, links }, &[job]).remove(0);
        assert!(matches!(result, Err(WriteError::Exists)), "{result:?}");
        assert_eq!(fs::read(&path).expect("read"), OLD);
        assert_eq!(names(dir.path()), ["file.yaml"]);
    }
}

#[test]
fn a_new_file_is_written_where_it_cannot_be_renamed_in_one_step() {
    struct Old {
        links: bool,
    }
    impl Steps for Old {
        fn rename_new(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            if self.links {
                Real.link(from, to)
            } else {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
    }
    for links in [true, false] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file.yaml");
        let job = Job { path: &path, content: NEW, before: Before::Nothing, private: true };
        replace_all_by(&Old { links }, &[job]).remove(0).expect("written").notes.clear();
        assert_eq!(fs::read(&path).expect("read"), NEW);
        let metadata = fs::metadata(&path).expect("there");
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o600, 1));
        assert_eq!(names(dir.path()), ["file.yaml"]);
    }
}

#[test]
fn what_has_the_name_of_the_temporary_file_is_told() {
    let (dir, path) = directory_with_old();
    let result = || replace(&path, NEW, Before::Anything).expect_err("blocked").to_string();
    let name = ".file.yaml.waxseal-part";
    let left = dir.path().join(name);
    let start =
        format!("cannot be written: {} is in the way and cannot be removed: ", left.display());
    // A symlink is not followed, and nothing is put in the place that it leads to.
    symlink("elsewhere", &left).expect("linked");
    assert_eq!(result(), format!("{start}it is a symlink, which waxseal never makes"));
    fs::remove_file(&left).expect("removed");
    fs::create_dir(&left).expect("made");
    assert!(result().starts_with(&start), "{}", result());
    assert_eq!(fs::read(&path).expect("read"), OLD);
    assert_eq!(names(dir.path()), [name, "file.yaml"]);
}

#[test]
fn what_killed_runs_left_goes_with_the_next_write_in_the_directory() {
    let (dir, path) = directory_with_old();
    let [left, held, link] =
        [".a.yaml.waxseal-part", ".b.yaml.waxseal-part", ".c.yaml.waxseal-part"]
            .map(|name| dir.path().join(name));
    fs::write(&left, "plaintext").expect("written");
    fs::write(dir.path().join(".d.waxseal-copy"), "").expect("written");
    let held = File::create(&held).expect("created");
    held.lock().expect("locked");
    symlink(&path, &link).expect("linked");
    replace(&path, NEW, Before::Anything).expect("replaced").notes.clear();
    assert_eq!(
        names(dir.path()),
        [".b.yaml.waxseal-part", ".c.yaml.waxseal-part", ".d.waxseal-copy", "file.yaml"]
    );
    drop(held);
    replace(&path, OLD, Before::Anything).expect("replaced").notes.clear();
    assert_eq!(names(dir.path()), [".c.yaml.waxseal-part", ".d.waxseal-copy", "file.yaml"]);
}

/// A directory of many files is not listed for each few of them.
#[test]
fn one_run_looks_once_for_what_killed_runs_left() {
    let (dir, path) = directory_with_old();
    let mut swept = Swept::default();
    let write = |content, swept: &mut Swept| {
        let job = Job { path: &path, content, before: Before::Anything, private: false };
        replace_all(&[job], swept).remove(0).expect("replaced").notes.clear();
    };
    let left = |name: &str| fs::write(dir.path().join(name), "plaintext").expect("written");
    left(".a.yaml.waxseal-part");
    write(NEW, &mut swept);
    assert_eq!(names(dir.path()), ["file.yaml"]);
    left(".b.yaml.waxseal-part");
    write(OLD, &mut swept);
    assert_eq!(names(dir.path()), [".b.yaml.waxseal-part", "file.yaml"]);
    write(NEW, &mut Swept::default());
    assert_eq!(names(dir.path()), ["file.yaml"]);
}

#[test]
fn every_path_to_a_file_has_one_place() {
    let (dir, path) = directory_with_old();
    let path = path.canonicalize().expect("there");
    fs::create_dir_all(dir.path().join("real/deep")).expect("made");
    symlink("real/deep", dir.path().join("folder")).expect("linked");
    symlink("../../file.yaml", dir.path().join("real/deep/link")).expect("linked");
    symlink("none.yaml", dir.path().join("dangling")).expect("linked");
    for spelling in ["file.yaml", "./file.yaml", "real/../file.yaml", "folder/link"] {
        assert_eq!(place(&dir.path().join(spelling)), path, "{spelling}");
    }
    assert_eq!(place(&dir.path().join("dangling")), path.with_file_name("none.yaml"));
    assert_eq!(name(&dir.path().join("real/../dangling")), path.with_file_name("dangling"));
    // Where a folder is a symlink, `..` is not what its name says.
    let inside = dir.path().join("folder/../file.yaml");
    assert_eq!(place(&inside), path.with_file_name("real").join("file.yaml"));
}

/// Steps of one replacement: create, write, mode, sync, rename, sync of the directory.
const STEPS: usize = 6;

#[test]
fn after_every_fault_the_old_file_stands() {
    let mut faults: Vec<_> = [
        io::ErrorKind::StorageFull,
        io::ErrorKind::QuotaExceeded,
        io::ErrorKind::Other,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ]
    .into_iter()
    .flat_map(|kind| (0..STEPS).map(move |at| (at, Fault::Error(kind))))
    .collect();
    faults.extend([0, 1, 7, NEW.len() - 1].map(|count| (1, Fault::Short(count))));
    for (at, fault) in faults {
        let (dir, path) = directory_with_old();
        let steps = Faulty::new(at, fault);
        let job = Job { path: &path, content: NEW, before: Before::Content(OLD), private: false };
        let result = replace_all_by(&steps, &[job]).remove(0);
        // The mode of a file system without modes, and directories that cannot be synced: no error.
        let harmless =
            fault == Fault::Error(io::ErrorKind::PermissionDenied) && [2, 5].contains(&at);
        assert_eq!(result.is_ok(), harmless, "step {at}, {fault:?}: {result:?}");
        let in_place = harmless || matches!(result, Err(WriteError::NotDurable(_)));
        let expected = if in_place { NEW } else { OLD };
        assert_eq!(fs::read(&path).expect("read"), expected, "step {at}, {fault:?}");
        assert_eq!(names(dir.path()), ["file.yaml"], "step {at}, {fault:?}");
    }
}

/// Steps up to the rename that fails, and those of overwriting: open, reserve, link, sync of the
/// directory, write, length, sync; sync of the directory.
const MOUNTED_STEPS: usize = 13;

#[test]
fn a_mounted_file_is_overwritten() {
    let never = || Faulty::mounted(usize::MAX, Fault::Kill);
    for content in [NEW, b"short\n"] {
        let (dir, path) = directory_with_old();
        fs::hard_link(&path, dir.path().join("mount")).expect("linked");
        let steps = never();
        let job = Job { path: &path, content, before: Before::Content(OLD), private: false };
        let written = replace_all_by(&steps, &[job]).remove(0).expect("written");
        assert_eq!(written.notes, [Note::InPlace]);
        assert_eq!(fs::read(&path).expect("read"), content);
        assert_eq!(fs::read(dir.path().join("mount")).expect("the same file"), content);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
        assert_eq!(names(dir.path()), ["file.yaml", "mount"]);
        assert_eq!(steps.count.load(Ordering::Relaxed), MOUNTED_STEPS);
    }
}

#[test]
fn after_every_error_a_mounted_file_stands_as_it_was() {
    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::PermissionDenied];
    for (kind, at) in
        kinds.into_iter().flat_map(|kind| (0..MOUNTED_STEPS).map(move |at| (kind, at)))
    {
        let (dir, path) = directory_with_old();
        let steps = Faulty::mounted(at, Fault::Error(kind));
        let job = Job { path: &path, content: NEW, before: Before::Content(OLD), private: false };
        let result = replace_all_by(&steps, &[job]).remove(0);
        let in_place = result.is_ok() || matches!(result, Err(WriteError::NotDurable(_)));
        let denied = kind == io::ErrorKind::PermissionDenied;
        assert_eq!(result.is_ok(), denied && [2, 8, 12].contains(&at), "{at}: {result:?}");
        let expected = if in_place { NEW } else { OLD };
        assert_eq!(fs::read(&path).expect("read"), expected, "step {at}, {kind:?}");
        assert_eq!(names(dir.path()), ["file.yaml"], "step {at}, {kind:?}");
    }
}

#[test]
fn a_mounted_file_that_cannot_be_mended_has_its_copy() {
    /// A disk that fails once the file was opened for overwriting.
    struct Broken;
    impl Steps for Broken {
        fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
            Err(io::ErrorKind::ResourceBusy.into())
        }

        fn set_length(&self, _: &File, _: usize) -> io::Result<()> {
            Err(io::ErrorKind::Other.into())
        }
    }
    let (dir, path) = directory_with_old();
    let job = Job { path: &path, content: NEW, before: Before::Content(OLD), private: false };
    let copy = match replace_all_by(&Broken, &[job]).remove(0) {
        Err(WriteError::Torn { copy, .. }) => copy,
        other => panic!("{other:?}"),
    };
    assert_eq!(fs::read(&copy).expect("kept"), NEW);
    assert_eq!(interrupted_copy(&path), Some(copy));
    assert_eq!(names(dir.path()), [".file.yaml.waxseal-copy", "file.yaml"]);
    // A later one replaces it.
    let job = Job { path: &path, content: b"next\n", before: Before::Anything, private: false };
    let steps = Faulty::mounted(usize::MAX, Fault::Kill);
    replace_all_by(&steps, &[job]).remove(0).expect("written").notes.clear();
    assert_eq!(names(dir.path()), ["file.yaml"]);
}

#[test]
fn a_fault_of_one_file_spares_the_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let paths: Vec<_> = (0..3).map(|n| dir.path().join(format!("{n}"))).collect();
    let jobs: Vec<_> = paths
        .iter()
        .map(|path| Job { path, content: NEW, before: Before::Nothing, private: false })
        .collect();
    // Three creations and writes, one after the other (so few run on one thread).
    let results = replace_all_by(&Faulty::new(3, Fault::Error(io::ErrorKind::Other)), &jobs);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(names(dir.path()), ["0", "2"]);
}

const CHILD: &str = "WAXSEAL_TEST_KILLED_CHILD";
const MOUNTED: &str = "WAXSEAL_TEST_KILLED_CHILD_MOUNTED";

/// Run by [`after_a_kill_at_every_step_a_file_stands_whole`] in a process of its own.
#[test]
fn killed_child() {
    let Ok(order) = std::env::var(CHILD) else { return };
    let mut words = order.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
    let (at, count) = (number().expect("a step"), number().expect("a count"));
    let path = PathBuf::from(words.next().expect("a path"));
    let fault = if count == usize::MAX { Fault::Kill } else { Fault::KillAfter(count) };
    let job = Job { path: &path, content: NEW, before: Before::Content(OLD), private: false };
    let mounted = std::env::var_os(MOUNTED).is_some();
    let _ = replace_all_by(&Faulty { mounted, ..Faulty::new(at, fault) }, &[job]);
}

#[test]
fn after_a_kill_while_a_mounted_file_is_overwritten_a_copy_stands_whole() {
    let whole = (6..MOUNTED_STEPS).map(|at| (at, usize::MAX));
    for (at, count) in whole.chain([0, 1, 7, NEW.len()].map(|count| (9, count))) {
        let (dir, path) = directory_with_old();
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "os::fs::tests::killed_child"])
            .env(CHILD, format!("{at} {count} {}", path.display()))
            .env(MOUNTED, "1")
            .stdout(std::process::Stdio::null())
            .status()
            .expect("run");
        assert!(!status.success(), "step {at}");
        let content = fs::read(&path).expect("read");
        let copy = interrupted_copy(&path).map(|copy| fs::read(copy).expect("read"));
        match at {
            // Not one byte was changed yet.
            0..=9 if count == usize::MAX => assert_eq!(content, OLD, "step {at}"),
            12 => assert_eq!((content, copy), (NEW.into(), None)),
            _ => assert_eq!(copy.as_deref(), Some(NEW), "step {at}, {count}"),
        }
        // The temporary file goes, the copy stays until the file was overwritten as a whole.
        let content = fs::read(&path).expect("read");
        replace(&path, &content, Before::Anything).expect("replaced").notes.clear();
        assert!(!path_for(&path).exists(), "step {at}");
        let job = Job { path: &path, content: NEW, before: Before::Anything, private: false };
        let steps = Faulty::mounted(usize::MAX, Fault::Kill);
        replace_all_by(&steps, &[job]).remove(0).expect("written").notes.clear();
        assert_eq!(names(dir.path()), ["file.yaml"], "step {at}");
    }
}

#[test]
fn after_a_kill_at_every_step_a_file_stands_whole() {
    let whole = (0..STEPS).map(|at| (at, usize::MAX));
    for (at, count) in whole.chain([0, 1, 7, NEW.len()].map(|count| (1, count))) {
        let (dir, path) = directory_with_old();
        let status = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "os::fs::tests::killed_child"])
            .env(CHILD, format!("{at} {count} {}", path.display()))
            .stdout(std::process::Stdio::null())
            .status()
            .expect("run");
        assert!(!status.success(), "step {at}");
        let expected = if at < 5 { OLD } else { NEW };
        assert_eq!(fs::read(&path).expect("read"), expected, "step {at}");
        if (1..5).contains(&at) {
            let left = path_for(&path);
            assert_eq!(
                left.file_name().and_then(|name| name.to_str()),
                Some(".file.yaml.waxseal-part")
            );
            // Never readable by others, since what it will hold may be less public than it is.
            let mode = fs::metadata(&left).expect("left").mode() & 0o777;
            assert_eq!(mode, if at <= 2 { 0o600 } else { 0o640 }, "step {at}");
        }
        replace(&path, b"next\n", Before::Content(expected)).expect("replaced").notes.clear();
        assert_eq!(fs::read(&path).expect("read"), b"next\n");
        assert_eq!(names(dir.path()), ["file.yaml"], "step {at}");
    }
}

#[test]
fn writers_of_one_file_take_turns() {
    let (dir, path) = directory_with_old();
    let texts: Vec<_> = (0..8).map(|n| format!("{n}").repeat(50_000)).collect();
    std::thread::scope(|scope| {
        for text in &texts {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..10 {
                    replace(path, text.as_bytes(), Before::Anything)
                        .expect("written")
                        .notes
                        .clear();
                }
            });
        }
        for _ in 0..200 {
            let now = fs::read(&path).expect("always there");
            assert!(now == OLD || texts.iter().any(|text| text.as_bytes() == now));
        }
    });
    assert_eq!(names(dir.path()), ["file.yaml"]);
}

#[test]
fn many_files_are_written_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let paths: Vec<_> = (0..500).map(|n| dir.path().join(format!("{n}.yaml"))).collect();
    for before in [Before::Nothing, Before::Content(NEW)] {
        let jobs: Vec<_> =
            paths.iter().map(|path| Job { path, content: NEW, before, private: false }).collect();
        let results = replace_all(&jobs, &mut Swept::default());
        assert_eq!(results.len(), 500);
        assert!(results.iter().all(Result::is_ok));
    }
    assert_eq!(names(dir.path()).len(), 500);
}

#[track_caller]
fn check_read(content: &[u8], expected: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    fs::write(&path, content).expect("written");
    let result = read(&path);
    assert_eq!(result.map_or_else(|error| error.to_string(), |text| format!("{text:?}")), expected);
}

#[test]
fn files_are_read_as_utf_8() {
    check_read(b"a: 1\r\n", r#""a: 1\r\n""#);
    check_read(b"", r#""""#);
    check_read(b"\xff\xfea\0", "is encoded in UTF-16: convert it to UTF-8");
    check_read(b"\xfe\xff\0a", "is encoded in UTF-16: convert it to UTF-8");
    check_read(b"a: 1\nb: \xe9\n", "is not UTF-8: line 2, column 4");
}

#[test]
fn what_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(read(dir.path()), Err(ReadError::IsDirectory)));
    assert!(matches!(read(&dir.path().join("none")), Err(ReadError::NotFound)));
    // A repository can name a device by a symlink.
    let link = dir.path().join("link");
    symlink("/dev/zero", &link).expect("linked");
    assert!(matches!(read(&link), Err(ReadError::Endless)));
    assert_eq!(read(Path::new("/dev/null")).ok().as_deref(), Some(""));
}
