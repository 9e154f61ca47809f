//! Where results go: standard output, a file, the file itself, a folder.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::batch::{self, Done, Order};
use super::context::{Ctx, any_path, given};
use super::error::Error;
use super::exit::{self, Exit};
use crate::document::Format;
use crate::os::fs::name;
use crate::shown::Show;

/// Flags that say where results go.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TargetArgs {
    /// Replace each file by its result
    #[arg(short, long)]
    pub(crate) in_place: bool,
    /// Write the result to this file instead of standard output
    #[arg(short, long, value_name = "FILE", value_parser = any_path(), overrides_with = "output")]
    pub(crate) output: Option<PathBuf>,
    /// Write the results into this folder, under the names and folders that the files have
    #[arg(long, value_name = "DIR", value_parser = any_path(), overrides_with = "output_dir")]
    pub(crate) output_dir: Option<PathBuf>,
}

/// Where the results of a run go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// Standard output: one result.
    Stdout,
    /// This file: one result.
    File(PathBuf),
    /// The file that was read.
    InPlace,
    /// A folder, for files of which some were found below these folders.
    Folder(PathBuf, Vec<PathBuf>),
}

impl TargetArgs {
    /// What the flags mean for these files; none of them is standard input.
    pub(crate) fn resolve(&self, files: &[PathBuf]) -> Result<Target, Error> {
        self.resolve_below(files, &[])
    }

    /// The same for files of which some stand below folders that were named.
    pub(crate) fn resolve_below(
        &self,
        files: &[PathBuf],
        named: &[PathBuf],
    ) -> Result<Target, Error> {
        let conflict = |text: &str| Err(Error::new(exit::CONFLICT, text));
        self.output.as_deref().map_or(Ok(()), refuse_dash)?;
        let target = match (
            self.in_place,
            given(self.output.as_deref()),
            given(self.output_dir.as_deref()),
        ) {
            (false, None, None) => Target::Stdout,
            (true, None, None) => Target::InPlace,
            (false, Some(file), None) => Target::File(file.to_owned()),
            (false, None, Some(folder)) => {
                let named = named.iter().filter(|it| it.is_dir()).cloned().collect();
                Target::Folder(folder.to_owned(), named)
            }
            _ => {
                return conflict(
                    "--in-place, --output and --output-dir exclude each other: give one of them",
                );
            }
        };
        match target {
            Target::InPlace if files.is_empty() => {
                Err(Error::new(exit::CONFLICT, "no file was named that --in-place could replace")
                    .hint("a pattern that matches no file may have left none"))
            }
            Target::Folder(..) if files.is_empty() => {
                conflict("standard input has no name to write under: use --output FILE")
            }
            Target::Stdout if files.len() > 1 => conflict(
                "standard output holds one file: use --in-place or --output-dir DIR for several",
            ),
            Target::File(_) if files.len() > 1 => {
                conflict("--output holds one file: use --in-place or --output-dir DIR for several")
            }
            Target::Folder(folder, named) => {
                check_names(&folder, files, &named)?;
                Ok(Target::Folder(folder, named))
            }
            target => Ok(target),
        }
    }
}

impl Target {
    /// The folder below which results are written.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Stdout | Self::File(_) | Self::InPlace => None,
            Self::Folder(folder, _) => Some(folder.clone()),
        }
    }

    /// Works on the files: where they are not replaced, each name has its own result.
    pub(crate) fn run(
        &self,
        ctx: &Ctx,
        files: &[PathBuf],
        work: impl Fn(&Path) -> Result<Done, Error> + Sync,
    ) -> Exit {
        match self {
            Self::InPlace => batch::run(ctx, files, Order::SideBySide, work),
            Self::Stdout | Self::File(_) | Self::Folder(..) => {
                batch::run_each_name(ctx, files, Order::SideBySide, work)
            }
        }
    }

    /// The file to write the result of `input` to; `None`: standard output.
    ///
    /// `converted`: the result is in this other format, which its name in a folder should show.
    pub(crate) fn path_for(
        &self,
        input: Option<&Path>,
        converted: Option<Format>,
    ) -> Option<PathBuf> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path.clone()),
            Self::InPlace => input.map(Path::to_owned),
            Self::Folder(folder, named) => {
                let mut path = folder.join(name_in_folder(input?, named));
                if let Some(format) = converted {
                    path.set_extension(format.name());
                }
                Some(path)
            }
        }
    }
}

/// For most programs `-` is standard output; a file of this name would hold what was meant for it.
pub(crate) fn refuse_dash(output: &Path) -> Result<(), Error> {
    if output != Path::new("-") {
        return Ok(());
    }
    Err(Error::new(exit::CONFLICT, "--output -: nothing is written to a file of this name")
        .hint("leave out --output for standard output, or write ./-"))
}

/// The path below the folder: as given, if it stays below; else the name, behind that of the folder that
/// was named and what leads down from there, if it is one of these.
fn name_in_folder(path: &Path, named: &[PathBuf]) -> PathBuf {
    let below = path.components().all(|it| matches!(it, Component::Normal(_) | Component::CurDir));
    if !below {
        let rest = |folder: &PathBuf| {
            let rest = path.strip_prefix(folder).ok()?;
            let leads_down = rest.components().all(|it| matches!(it, Component::Normal(_)));
            leads_down.then(|| folder.file_name().map(PathBuf::from).unwrap_or_default().join(rest))
        };
        let name = || path.file_name().map(PathBuf::from).unwrap_or_default();
        return named.iter().find_map(rest).unwrap_or_else(name);
    }
    path.components().filter(|it| matches!(it, Component::Normal(_))).collect()
}

/// A file that is named twice has one result; two files must not have the same.
fn check_names(folder: &Path, files: &[PathBuf], named: &[PathBuf]) -> Result<(), Error> {
    let mut seen: HashMap<PathBuf, &Path> = HashMap::new();
    for file in files {
        let below = name_in_folder(file, named);
        let other = seen.get(&below).is_some_and(|first| name(first) != name(file));
        if other {
            let path = folder.join(below);
            let text = format!("two of the files would be written to {}", path.shown());
            return Err(Error::new(exit::CONFLICT, text).about(file));
        }
        seen.insert(below, file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Target, TargetArgs};
    use crate::document::Format;

    fn paths(files: &[&str]) -> Vec<PathBuf> {
        files.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn several_files_need_a_place_each() {
        let stdout = TargetArgs::default();
        assert!(stdout.resolve(&paths(&["a.yaml"])).is_ok());
        assert!(stdout.resolve(&paths(&["a.yaml", "b.yaml"])).is_err());
        let folder = TargetArgs { output_dir: Some("out".into()), ..TargetArgs::default() };
        assert!(folder.resolve(&paths(&["x/a.yaml", "y/a.yaml"])).is_ok());
        assert!(folder.resolve(&paths(&["/x/a.yaml", "/y/a.yaml"])).is_err());
        assert!(folder.resolve(&paths(&["a.yaml", "/y/a.yaml"])).is_err());
        assert!(folder.resolve(&paths(&["src/text.rs", "./src/text.rs", "src/text.rs"])).is_ok());
    }

    #[test]
    fn names_stay_below_the_folder() {
        let target = Target::Folder("out".into(), paths(&["/srv/app", "../other", ".."]));
        let path = |name: &str, format| target.path_for(Some(Path::new(name)), format);
        assert_eq!(path("/srv/app/x/a.yaml", None), Some("out/app/x/a.yaml".into()));
        assert_eq!(path("../other/x/a.yaml", None), Some("out/other/x/a.yaml".into()));
        assert_eq!(path("../x/a.yaml", None), Some("out/x/a.yaml".into()));
        assert_eq!(path("/srv/app/../a.yaml", None), Some("out/a.yaml".into()));
        assert_eq!(path("x/a.yaml", None), Some("out/x/a.yaml".into()));
        assert_eq!(path("./x/./a.yaml", None), Some("out/x/a.yaml".into()));
        assert_eq!(path("../../a.yaml", None), Some("out/a.yaml".into()));
        assert_eq!(path("/x/a.yaml", Some(Format::Json)), Some("out/a.json".into()));
    }
}
