//! The leaves of a document with their values, worked on while the walk goes on.
//!
//! Of each leaf, one part of the work needs the leaf alone (`prepare`: encryption), the other needs
//! what came before it (`visit`: hashes, counts, text). In a large document the walk and the second
//! part have a thread each, and the first part has two; the leaves travel between them in batches.
//!
//! Invariants: `visit` sees every leaf once, in the order of the text, on the thread of the caller,
//! whatever the number of threads; no leaf behind the first error is visited.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::error::FileError;
use super::seal::value_to_seal;
use super::skip::Skip;
use super::walk::{Leaf, Place, walk};
use crate::crypto::path::EncodedPath;
use crate::document::{Document, NodeId};
use crate::policy::Policy;
use crate::secret::{Wiped, reserve};
use crate::value::{Scalar, ScalarType};

/// What is walked.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) doc: &'a Document,
    pub(crate) policy: &'a Policy,
    pub(crate) skip: Option<&'a Skip>,
}

/// A leaf and its value: null of an empty map or list.
pub(crate) struct Found<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) kind: ScalarType,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Found<'a> {
    /// The value.
    pub(crate) fn scalar(&self) -> Scalar<'a> {
        Scalar::new(self.kind, self.bytes)
    }

    /// Whether it is, or is to become, a token: SOPS leaves nulls and empty strings as they are.
    pub(crate) fn holds_secret(&self) -> bool {
        self.place.selected && self.kind != ScalarType::Null && !self.bytes.is_empty()
    }
}

/// Prepares and visits every leaf; gives the number of documents.
///
/// `prepare` appends to the output of its batch what `visit` is to find there.
///
/// # Errors
///
/// The first error of `visit`, or that of the walk.
pub(crate) fn stream<P: Send, O: Output>(
    source: Source<'_>,
    prepare: impl Fn(&Found<'_>, &mut O) -> P + Sync,
    mut visit: impl FnMut(&Found<'_>, P, &O) -> Result<(), FileError>,
) -> Result<u64, FileError> {
    if source.doc.nodes().len() >= WORTH_THREADS
        && let Some(result) = on_threads(source, &prepare, &mut visit)
    {
        return result;
    }
    source.batches(|mut batch| {
        batch.prepare(&prepare);
        batch.visit(&mut visit)?;
        Ok(batch)
    })
}

/// What `prepare` can write to.
pub(crate) trait Output: Default + Into<Vec<u8>> + Send {
    /// Empties it; the memory stays, and is used again.
    fn clear(&mut self);
}

impl Output for String {
    fn clear(&mut self) {
        self.clear();
    }
}

impl Output for Vec<u8> {
    fn clear(&mut self) {
        self.clear();
    }
}

/// `None` if there are no threads to be had.
fn on_threads<P: Send, O: Output>(
    source: Source<'_>,
    prepare: &(impl Fn(&Found<'_>, &mut O) -> P + Sync),
    visit: &mut impl FnMut(&Found<'_>, P, &O) -> Result<(), FileError>,
) -> Option<Result<u64, FileError>> {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        return None;
    }
    let (visited, spare) = channel::<Batch<P, O>>();
    thread::scope(|scope| {
        // Each preparing thread has every second batch, and its own way in and out.
        let (mut found, mut to_visit) = (Vec::new(), Vec::new());
        for _ in 0..PREPARING {
            let (send_found, to_prepare) = sync_channel::<Batch<P, O>>(BATCHES_AHEAD);
            let (prepared, send_visit) = sync_channel::<Batch<P, O>>(BATCHES_AHEAD);
            let prepare_all = move || {
                for mut batch in to_prepare {
                    batch.prepare(prepare);
                    if prepared.send(batch).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().spawn_scoped(scope, prepare_all).ok()?;
            found.push(send_found);
            to_visit.push(send_visit);
        }
        let walk = move || {
            let mut turns = found.iter().cycle();
            source.batches(|batch| {
                if let Some(turn) = turns.next() {
                    // Whoever stops receiving has an error of its own to tell.
                    let _ = turn.send(batch);
                }
                Ok(spare.try_recv().unwrap_or_default())
            })
        };
        let walker = thread::Builder::new().spawn_scoped(scope, walk).ok()?;
        // The first batch that does not come is the end.
        let mut batches = to_visit.iter().cycle().map_while(|turn| turn.recv().ok());
        let told = batches.try_for_each(|mut batch| {
            batch.visit(visit)?;
            // At the end of the walk nobody takes it.
            let _ = visited.send(batch);
            Ok(())
        });
        drop(batches);
        drop(to_visit);
        let walked = walker.join().unwrap_or_else(|panic| resume_unwind(panic));
        Some(told.and(walked))
    })
}

impl Source<'_> {
    /// Walks the document and hands its leaves over, many at a time, for an empty batch each.
    fn batches<P, O: Output>(
        self,
        mut hand_over: impl FnMut(Batch<P, O>) -> Result<Batch<P, O>, FileError>,
    ) -> Result<u64, FileError> {
        let mut batch = Batch::default();
        let walked = walk(self.doc, self.policy, self.skip, |place| {
            let scalar = match place.leaf {
                Leaf::Scalar | Leaf::Comment => value_to_seal(self.doc, place.node)?,
                Leaf::EmptyMap | Leaf::EmptyList => Scalar::null(),
            };
            batch.push(place, &scalar);
            if batch.is_full() {
                batch = hand_over(std::mem::take(&mut batch))?;
            }
            Ok(())
        });
        // What came before an error of the walk may have one of its own.
        hand_over(batch)?;
        walked
    }
}

/// Leaves that travel together, their paths and values in two buffers.
struct Batch<P, O: Output> {
    leaves: Vec<Record>,
    aads: String,
    bytes: Wiped<Vec<u8>>,
    prepared: Vec<P>,
    output: Wiped<O>,
}

/// A [`Found`] whose texts stand in the buffers of its batch: components, tree path and value one
/// behind the other.
struct Record {
    node: NodeId,
    leaf: Leaf,
    document: u64,
    selected: bool,
    alias: Option<NodeId>,
    kind: ScalarType,
    aad: Range<usize>,
    component_count: u64,
    tree_count: u64,
    components: usize,
    tree_path: usize,
    value: usize,
    end: usize,
}

impl<P, O: Output> Default for Batch<P, O> {
    fn default() -> Self {
        Self {
            leaves: Vec::new(),
            aads: String::new(),
            bytes: Wiped::default(),
            prepared: Vec::new(),
            output: Wiped::default(),
        }
    }
}

impl<P, O: Output> Batch<P, O> {
    fn is_full(&self) -> bool {
        self.leaves.len() >= BATCH_LEAVES || self.bytes.len() >= BATCH_BYTES
    }

    fn push(&mut self, place: &Place<'_>, scalar: &Scalar<'_>) {
        let aad = self.aads.len();
        self.aads.push_str(place.aad);
        let (components, tree_path) = (place.components.steps, place.tree_path.steps);
        reserve(&mut self.bytes, components.len() + tree_path.len() + scalar.bytes.len());
        let mut append = |piece: &[u8]| {
            self.bytes.extend_from_slice(piece);
            self.bytes.len()
        };
        self.leaves.push(Record {
            node: place.node,
            leaf: place.leaf,
            document: place.document,
            selected: place.selected,
            alias: place.alias,
            kind: scalar.kind,
            aad: aad..self.aads.len(),
            component_count: place.components.count,
            tree_count: place.tree_path.count,
            components: append(&[]),
            tree_path: append(components),
            value: append(tree_path),
            end: append(&scalar.bytes),
        });
    }

    fn found(&self, record: &Record) -> Found<'_> {
        let components = &self.bytes[record.components..record.tree_path];
        let tree_path = &self.bytes[record.tree_path..record.value];
        Found {
            place: Place {
                node: record.node,
                leaf: record.leaf,
                document: record.document,
                selected: record.selected,
                alias: record.alias,
                aad: &self.aads[record.aad.clone()],
                components: EncodedPath { count: record.component_count, steps: components },
                tree_path: EncodedPath { count: record.tree_count, steps: tree_path },
            },
            kind: record.kind,
            bytes: &self.bytes[record.value..record.end],
        }
    }

    fn prepare(&mut self, prepare: &impl Fn(&Found<'_>, &mut O) -> P) {
        let mut output = std::mem::take(&mut self.output);
        let mut prepared = std::mem::take(&mut self.prepared);
        prepared.extend(self.leaves.iter().map(|leaf| prepare(&self.found(leaf), &mut output)));
        (self.output, self.prepared) = (output, prepared);
    }

    /// Hands every leaf to `visit`; the batch is empty then.
    fn visit(
        &mut self,
        visit: &mut impl FnMut(&Found<'_>, P, &O) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let mut prepared = std::mem::take(&mut self.prepared);
        for (leaf, prepared) in self.leaves.iter().zip(prepared.drain(..)) {
            visit(&self.found(leaf), prepared, &self.output)?;
        }
        self.prepared = prepared;
        self.leaves.clear();
        self.aads.clear();
        self.bytes.clear();
        self.output.clear();
        Ok(())
    }
}

/// Documents with fewer nodes are done before the threads would have started.
pub(crate) const WORTH_THREADS: usize = 4_000;

/// A batch is full with so many leaves: what is on its way is to stay in the cache,
const BATCH_LEAVES: usize = 256;

/// or with so many bytes of paths and values.
const BATCH_BYTES: usize = 32 * 1024;

/// How many threads prepare: the longest part of the work.
const PREPARING: usize = 2;

/// How many batches may wait between two threads.
const BATCHES_AHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::{Found, Source, WORTH_THREADS, stream};
    use crate::document::{Document, Format};
    use crate::file::error::FileError;
    use crate::policy::Policy;

    fn document(values: usize) -> Document {
        let text: String =
            (0..values).map(|value| format!("k{value}: [{value}, {{}}]\n")).collect();
        Document::parse(text, Format::Yaml).expect("valid YAML")
    }

    /// What is prepared and visited of each leaf until `stop` of them are.
    fn visits(doc: &Document, stop: usize) -> (Vec<String>, Result<u64, FileError>) {
        let policy = Policy::default();
        let source = Source { doc, policy: &policy, skip: None };
        let prepare = |found: &Found<'_>, output: &mut Vec<u8>| {
            output.extend(found.bytes);
            output.len() - found.bytes.len()..output.len()
        };
        let mut visits = Vec::new();
        let result = stream(source, prepare, |found, range, output: &Vec<u8>| {
            if visits.len() == stop {
                return Err(FileError::NoDocument);
            }
            let (aad, prepared) = (found.place.aad, String::from_utf8_lossy(&output[range]));
            visits.push(format!("{aad} {:?} {prepared}", found.place.leaf));
            Ok(())
        });
        (visits, result)
    }

    #[test]
    fn threads_visit_every_leaf_in_the_order_of_the_text() {
        let values = WORTH_THREADS;
        let (visits, result) = visits(&document(values), usize::MAX);
        assert_eq!(result.ok(), Some(1));
        let expect = (0..values).flat_map(|value| {
            [format!("k{value}: Scalar {value}"), format!("k{value}: EmptyMap ")]
        });
        assert!(visits.into_iter().eq(expect));
    }

    #[test]
    fn nothing_behind_an_error_is_visited() {
        for (values, stop) in [(3, 4), (WORTH_THREADS, 4), (WORTH_THREADS, 6_000)] {
            let (visits, result) = visits(&document(values), stop);
            assert!(matches!(result, Err(FileError::NoDocument)));
            assert_eq!(visits.len(), stop);
        }
    }
}
