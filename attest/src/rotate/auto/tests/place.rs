//! A place that keeps a keyring and its record in memory, as a file or a Secret would, and in which a daemon can be killed.

use std::cell::Cell;
use std::rc::Rc;

use thiserror::Error;
use zeroize::Zeroizing;

use super::world::World;
use crate::clock::Clock as _;
use crate::rotate::store::{Busy, Opened, Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A lock keeps others away; the keyring is written first, and then the record.
    File,
    /// Whoever writes over another version is refused; keyring and record are written at once.
    Secret,
}

#[derive(Debug, Error)]
#[error("killed {0}")]
struct Killed(&'static str);

/// Where a daemon was killed, if that is what happened.
pub(super) fn is_killed(error: &anyhow::Error) -> Option<&'static str> {
    error.downcast_ref::<Killed>().map(|killed| killed.0)
}

/// After so many operations the daemon is killed.
struct Fuse(Option<Cell<u32>>);

impl Fuse {
    fn burn(&self, place: &'static str) -> anyhow::Result<()> {
        let Some(left) = &self.0 else { return Ok(()) };
        match left.get().checked_sub(1) {
            Some(less) => left.set(less),
            None => return Err(Killed(place).into()),
        }
        Ok(())
    }
}

pub(super) struct SimulatedPlace {
    world: &'static World,
    kind: Kind,
    fuse: Rc<Fuse>,
}

impl SimulatedPlace {
    pub(super) fn new(world: &'static World, kind: Kind, fuse: Option<u32>) -> Self {
        Self { world, kind, fuse: Rc::new(Fuse(fuse.map(Cell::new))) }
    }
}

impl Place for SimulatedPlace {
    fn shown(&self) -> String {
        "the keyring".to_owned()
    }

    fn argument(&self) -> String {
        String::new()
    }

    fn open(&self) -> anyhow::Result<Box<dyn Opened>> {
        self.fuse.burn("before it reads")?;
        let mut held = self.world.held.borrow_mut();
        if held.locked {
            return Err(Busy("locked".to_owned()).into());
        }
        held.locked = self.kind == Kind::File;
        Ok(Box::new(SimulatedOpened {
            text: Zeroizing::new(held.text.clone()),
            record: held.record.clone(),
            number: held.number,
            world: self.world,
            kind: self.kind,
            fuse: Rc::clone(&self.fuse),
        }))
    }
}

struct SimulatedOpened {
    text: Zeroizing<Vec<u8>>,
    record: Option<String>,
    number: u64,
    world: &'static World,
    kind: Kind,
    fuse: Rc<Fuse>,
}

impl SimulatedOpened {
    /// Writes what is given, over the version that was read.
    fn write(&mut self, text: Option<&[u8]>, record: Option<Option<&str>>) -> anyhow::Result<()> {
        let mut held = self.world.held.borrow_mut();
        if held.number != self.number {
            assert_eq!(self.kind, Kind::Secret, "a lock keeps others away");
            return Err(Busy("changed".to_owned()).into());
        }
        held.number += 1;
        self.number = held.number;
        held.changed = self.world.now();
        if let Some(record) = record {
            held.record = record.map(str::to_owned);
            self.record = held.record.clone();
        }
        if let Some(text) = text {
            held.text = text.to_vec();
            self.text = Zeroizing::new(text.to_vec());
            self.world.publish(text);
        }
        Ok(())
    }
}

impl Opened for SimulatedOpened {
    fn text(&self) -> &Zeroizing<Vec<u8>> {
        &self.text
    }

    fn record(&self) -> Option<&str> {
        self.record.as_deref()
    }

    fn record_shown(&self) -> String {
        "the record".to_owned()
    }

    fn changed(&self) -> anyhow::Result<f64> {
        Ok(self.world.held.borrow().changed)
    }

    fn replace(&mut self, text: &[u8], record: Option<&str>) -> anyhow::Result<Vec<String>> {
        self.fuse.burn("before it writes the keyring")?;
        match self.kind {
            Kind::File => {
                self.write(Some(text), None)?;
                self.fuse.burn("before it writes the record")?;
                self.write(None, Some(record))?;
            }
            Kind::Secret => self.write(Some(text), Some(record))?,
        }
        self.fuse.burn("after it wrote")?;
        Ok(Vec::new())
    }

    fn remember(&mut self, record: &str) -> anyhow::Result<()> {
        if self.record.as_deref() != Some(record) {
            self.fuse.burn("before it writes the record")?;
            self.write(None, Some(Some(record)))?;
        }
        Ok(())
    }
}

impl Drop for SimulatedOpened {
    fn drop(&mut self) {
        if self.kind == Kind::File {
            self.world.held.borrow_mut().locked = false;
        }
    }
}
