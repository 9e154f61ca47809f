//! `waxseal edit`.
//!
//! Invariants: a file whose text did not change is not touched; an edit is never lost without a
//! word: what cannot be put in its place (somebody wrote the file meanwhile, the disk is full, the
//! text does not parse and nobody mends it, the editor says that it failed) is kept beside it, sealed
//! with the file's own key. So no plaintext stays. A signal to waxseal itself (Ctrl-C, a closed window)
//! means that it goes: then nothing of it stays anywhere. It is kept whoever edited: an editor with a window
//! of its own (`code --wait`) needs no terminal, and cannot be told from a script.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::batch::{self, Done, Expected, Order, Write, write_error};
use super::consent;
use super::context::Ctx;
use super::encrypt::check_something_is_sealed;
use super::error::{Error, Voice};
use super::exit::{self, Exit};
use super::explain::{self, Role};
use super::input::{check_is_sealed_kind, format_of, read_error};
use super::open::{self, MacArgs, ReadArgs};
use super::sealing::{self, Plan, SealArgs};
use crate::document::{Document, Format};
use crate::file::{self, Consent, EncryptOptions, FileError};
use crate::keys::KeyGroup;
use crate::os::editor::{Editor, EditorError, PrivateFile};
use crate::os::fs;
use crate::os::tty::{self, Stream, is_terminal};
use crate::policy::Policy;
use crate::secret::DataKey;
use crate::shown::Show;
use crate::value::Tree;

/// Edit files in your editor, decrypted; what you save is sealed
///
/// The text is shown exactly as its owner wrote it, in a private folder. A file that is not there
/// yet starts from an example and is sealed by its creation rule. Exit code 200: nothing was
/// changed.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct EditArgs {
    /// Files to edit, one after the other
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) mac: MacArgs,
    #[command(flatten)]
    pub(crate) seal: SealArgs,
}

/// Runs `edit`.
pub(crate) fn run(ctx: &Ctx, args: &EditArgs) -> Result<Exit, Error> {
    ctx.rules()?;
    let several = args.files.len() > 1;
    Ok(batch::run(ctx, &args.files, Order::InTurn, |path| {
        let result = match path.try_exists() {
            Ok(false) => edit_new(ctx, args, path),
            Ok(true) | Err(_) => edit_old(ctx, args, path),
        };
        match result {
            Err(error) if several && error.exit() == exit::NOT_CHANGED => Ok(Done::default()),
            result => result.map(|()| Done::default()),
        }
    }))
}

fn edit_old(ctx: &Ctx, args: &EditArgs, path: &Path) -> Result<(), Error> {
    let opened = open::open_file(ctx, path, &args.read, args.mac.trust())?;
    if opened.file.encrypted().is_envelope() {
        let text = "a binary file of sops: such files are not supported yet; nothing was changed";
        return Err(Error::new(exit::GENERIC, text));
    }
    opened.refuse_broken()?;
    let session = Session::start(ctx, path, opened.file.document().text())?;
    let seal = |text: &str| {
        let now = ctx.now()?;
        let sealed = opened
            .file
            .reencrypt(text.to_owned(), opened.nonces(), now, Consent::AsBefore)
            .map_err(|error| explain::file(&error, Role::Changed))?;
        consent::check_new_plain_values(&opened, &sealed)?;
        Ok(sealed)
    };
    let keep = Keep {
        data_key: &opened.data_key,
        groups: opened.file.encrypted().metadata().groups().to_vec(),
        threshold: opened.file.encrypted().metadata().shamir_threshold(),
        vouch_for_recipients: opened.file.outcome().recipients_are_good(),
    };
    let before = Expected::Content(opened.text().as_bytes().to_vec().into());
    session.finish(&keep, before, seal)
}

fn edit_new(ctx: &Ctx, args: &EditArgs, path: &Path) -> Result<(), Error> {
    let format = format_of(path, args.read.input_type);
    check_is_sealed_kind(format)?;
    // Before somebody writes what then has no place.
    if path.is_symlink() {
        return Err(write_error(&fs::WriteError::LeadsNowhere, path));
    }
    let place = fs::place(path);
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(write_error(&fs::WriteError::NoDirectory, path));
    }
    let plan = args.seal.plan(ctx, path)?;
    if let Some(note) = plan.lockout(ctx) {
        ctx.out.note(&format!("{}: {note}", path.shown()));
    }
    let data_key = sealing::new_data_key()?;
    let groups = sealing::wrap(ctx, &plan.groups, &data_key)?;
    let session = Session::start(ctx, path, example(format))?;
    let keep = Keep {
        data_key: &data_key,
        groups: groups.clone(),
        threshold: plan.threshold,
        vouch_for_recipients: true,
    };
    let seal = |text: &str| seal_new(ctx, &plan, &groups, &data_key, text, format);
    session.finish(&keep, Expected::Nothing, seal)
}

fn seal_new(
    ctx: &Ctx,
    plan: &Plan,
    groups: &[KeyGroup],
    data_key: &DataKey,
    text: &str,
    format: Format,
) -> Result<String, Error> {
    let options = EncryptOptions {
        policy: &plan.policy,
        groups: groups.to_vec(),
        shamir_threshold: plan.threshold,
        nonces: plan.nonces,
        vouch_for_recipients: true,
        now: ctx.now()?,
    };
    let sealed = file::encrypt(text.to_owned(), format, data_key, &options)
        .map_err(|error| explain::file(&error, Role::Changed))?;
    check_something_is_sealed(&sealed, format, plan)?;
    Ok(sealed)
}

/// One file in the user's editor.
struct Session<'a> {
    ctx: &'a Ctx,
    path: &'a Path,
    editor: Editor,
    private: PrivateFile,
    original: Zeroizing<String>,
}

/// By what an edit is sealed that cannot be put in its place.
struct Keep<'a> {
    data_key: &'a DataKey,
    groups: Vec<KeyGroup>,
    threshold: usize,
    /// Not for recipients that the file does not vouch for: somebody may have planted one.
    vouch_for_recipients: bool,
}

impl<'a> Session<'a> {
    fn start(ctx: &'a Ctx, path: &'a Path, text: &str) -> Result<Self, Error> {
        let editor = Editor::of_user(&ctx.env).map_err(|error| editor_error(&error))?;
        // The editor sees by the name what it edits.
        let name = path.file_name().unwrap_or(OsStr::new("file"));
        let (out, shown) = (ctx.out, path.shown().to_string());
        let on_signal = Box::new(move |_| {
            out.line(&format!("{shown}: interrupted: the text is gone, nothing was changed"));
            std::process::exit(i32::from(exit::GENERIC))
        });
        let private = PrivateFile::create(&ctx.env, name, text, on_signal)
            .map_err(|error| editor_error(&error))?;
        let original = Zeroizing::new(text.to_owned());
        Ok(Self { ctx, path, editor, private, original })
    }

    /// Lets the user edit until the text can be sealed, and writes it.
    fn finish(
        &self,
        keep: &Keep<'_>,
        before: Expected,
        seal: impl Fn(&str) -> Result<String, Error>,
    ) -> Result<(), Error> {
        let (text, sealed) = loop {
            self.private
                .edit(&self.editor)
                .map_err(|error| self.keep_file(editor_error(&error), keep))?;
            let text = match self.private.read() {
                Ok(text) => Zeroizing::new(text),
                // There is nothing to go on with. The code is that of sops.
                Err(fs::ReadError::NotFound) => {
                    let text = "the editor removed the text: nothing was changed";
                    return Err(Error::new(exit::CANNOT_READ, text));
                }
                Err(error) => {
                    self.again(read_error(&error, exit::CANNOT_READ))
                        .map_err(|error| self.keep_file(error, keep))?;
                    continue;
                }
            };
            if *text == *self.original {
                return Err(Error::new(exit::NOT_CHANGED, "not changed: nothing was written"));
            }
            match seal(&text) {
                Ok(sealed) => break (text, sealed),
                Err(error) => {
                    self.again(error).map_err(|error| self.keep(error, keep, text.as_bytes()))?;
                }
            }
        };
        let write = Write { before, ..Write::new(self.path, sealed.into_bytes()) };
        match write.run() {
            Ok(written) => {
                for note in written.notes {
                    self.ctx.out.note(&format!("{}: {note}", self.path.shown()));
                }
                Ok(())
            }
            Err(error @ fs::WriteError::NotDurable(_)) => Err(write_error(&error, self.path)),
            Err(error) => Err(self.keep(write_error(&error, self.path), keep, text.as_bytes())),
        }
    }

    /// Shows what is wrong and asks whether to go on; the error, if nobody can or wants to.
    fn again(&self, error: Error) -> Result<(), Error> {
        let error = error.about(self.path);
        if !is_terminal(Stream::Input) {
            return Err(error);
        }
        self.ctx.out.error(&error);
        match tty::line("Press Enter to go on editing, or q and Enter to give up: ") {
            Some(answer) if !answer.trim().eq_ignore_ascii_case("q") => Ok(()),
            _ => Err(error),
        }
    }

    /// As [`Session::keep`], of what the editor left, if that is an edit at all.
    fn keep_file(&self, error: Error, keep: &Keep<'_>) -> Error {
        match self.private.read_bytes().map(Zeroizing::new) {
            Ok(bytes) if *bytes != self.original.as_bytes() => self.keep(error, keep, &bytes),
            // The editor removed its file, or changed nothing.
            Ok(_) | Err(_) => error,
        }
    }

    /// Keeps the edit beside the file, sealed, and says where; if it cannot stand there, where
    /// temporary files are.
    fn keep(&self, error: Error, keep: &Keep<'_>, edit: &[u8]) -> Error {
        let (key, end) = match std::str::from_utf8(edit) {
            Ok(_) => ("data", ""),
            Err(_) => ("hex", " | xxd -r -p"),
        };
        let beside = self.path.parent().unwrap_or(Path::new(""));
        let kept = self.seal_edit(keep, key, edit).and_then(|sealed| {
            self.write_edit(beside, &sealed)
                .or_else(|_| self.write_edit(&self.ctx.env.temp_dir(), &sealed))
        });
        match kept {
            Ok(path) => error.hint(format!(
                "your edit is kept, sealed: waxseal decrypt --extract '[\"{key}\"]' {}{end}",
                path.shown()
            )),
            Err(other) => {
                let why = other.render(Voice::Waxseal, false);
                error.hint(format!("your edit could not be kept either: {}", why.trim_end()))
            }
        }
    }

    fn seal_edit(&self, keep: &Keep<'_>, key: &str, edit: &[u8]) -> Result<Vec<u8>, Error> {
        let text = match std::str::from_utf8(edit) {
            Ok(text) => Zeroizing::new(text.to_owned()),
            Err(_) => Zeroizing::new(edit.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        let tree = Tree::Map(vec![(key.to_owned(), Tree::str(text.as_str()))]);
        let json = Document::emit(&tree, Format::Json)
            .map_err(|error| Error::of(exit::CANNOT_EXPRESS, &error))?;
        let policy = Policy::unnamed(false);
        let options = EncryptOptions {
            policy: &policy,
            groups: keep.groups.clone(),
            shamir_threshold: keep.threshold,
            nonces: file::Nonces::Derived,
            vouch_for_recipients: keep.vouch_for_recipients,
            now: self.ctx.now()?,
        };
        file::encrypt(json, Format::Json, keep.data_key, &options)
            .map(String::into_bytes)
            .map_err(|error: FileError| explain::file(&error, Role::Plain))
    }

    /// Writes it under a name that nothing has yet.
    fn write_edit(&self, folder: &Path, sealed: &[u8]) -> Result<PathBuf, Error> {
        let mut number = 1;
        loop {
            let mut name = self.path.file_name().unwrap_or(OsStr::new("file")).to_owned();
            name.push(if number == 1 {
                ".edit.json".into()
            } else {
                format!(".edit-{number}.json")
            });
            let path = folder.join(name);
            // A link leads away from here, be it to where nothing is yet.
            let written = match path.is_symlink() {
                true => Err(fs::WriteError::Exists),
                false => fs::replace(&path, sealed, fs::Before::Nothing),
            };
            match written {
                Ok(_) | Err(fs::WriteError::NotDurable(_)) => return Ok(path),
                Err(fs::WriteError::Exists) if number < 100 => number += 1,
                Err(error) => return Err(write_error(&error, &path)),
            }
        }
    }
}

fn editor_error(error: &EditorError) -> Error {
    match error {
        EditorError::NoEditor | EditorError::Unparsable { .. } => Error::of(exit::NO_EDITOR, error),
        EditorError::Start { .. } => Error::of(exit::NO_EDITOR, error)
            .hint("set SOPS_EDITOR to an editor that is there, such as vim, nano or 'code --wait'"),
        EditorError::Failed { .. } => Error::of(exit::NO_EDITOR, error).hint(
            "after an editor that ends with an error, as vim does with `:cq`, no file is changed",
        ),
        EditorError::Directory { .. } => Error::of(exit::CANNOT_WRITE, error),
    }
}

/// What a new file begins with.
fn example(format: Format) -> &'static str {
    match format {
        Format::Yaml => {
            "hello: Welcome to waxseal! Edit this file as you please.\n\
             example_key: example_value\n\
             # Example comment\n\
             example_array:\n    - example_value1\n    - example_value2\n\
             example_number: 1234.56789\n\
             example_booleans:\n    - true\n    - false\n"
        }
        Format::Json => {
            "{\n\t\"hello\": \"Welcome to waxseal! Edit this file as you please.\",\n\
             \t\"example_key\": \"example_value\",\n\
             \t\"example_array\": [\n\t\t\"example_value1\",\n\t\t\"example_value2\"\n\t],\n\
             \t\"example_number\": 1234.56789,\n\
             \t\"example_booleans\": [\n\t\ttrue,\n\t\tfalse\n\t]\n}\n"
        }
        Format::Toml => {
            "hello = \"Welcome to waxseal! Edit this file as you please.\"\n\
             example_key = \"example_value\"\n\
             # Example comment\n\
             example_array = [\"example_value1\", \"example_value2\"]\n\
             example_number = 1234.56789\n\
             example_booleans = [true, false]\n"
        }
        Format::Dotenv | Format::Ini | Format::Binary => "",
    }
}
