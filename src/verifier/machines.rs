//! What a verifying thread hashes with: virtual machines, made when they are needed and let go when their memory is
//! to be freed.

use anyhow::Context as _;
use pow::{
    Hash,
    randomx::{Memory, NoMemory, Pages, Vm},
    visionx,
};

use super::{What, capacity::Kind};

/// A thread's machines: a new seed is verified with its cache while shares of the old one still come.
pub(super) struct Machines {
    light: Option<Vm>,
    fast: Option<Vm>,
    visionx: visionx::Machine,
    pages: Pages,
}

impl Machines {
    pub(super) fn new(pages: Pages) -> Self {
        Self {
            light: None,
            fast: None,
            visionx: visionx::Machine::new(),
            pages,
        }
    }

    /// The hash of a share and what was measured by it; nothing if memory is short even with nothing else held
    /// here. Where a seed was to be prepared, `memory` is what came of that.
    pub(super) fn hash(
        &mut self,
        what: &What,
        memory: Option<Memory>,
    ) -> anyhow::Result<Option<(Hash, Kind)>> {
        let blob = match what {
            What::RandomX { blob, .. } => blob,
            What::VisionX {
                dataset,
                message,
                nonce,
            } => {
                let hash = self.visionx.hash(dataset, message, *nonce);
                return Ok(Some((hash, Kind::VisionX)));
            }
        };
        let memory = memory.context("the seed was prepared")?;
        let kind = Kind::of(&memory);
        for _ in 0..2 {
            match self.of(memory.clone()) {
                Ok(machine) => return Ok(Some((machine.hash(blob), kind))),
                Err(NoMemory { .. }) => self.let_go(),
            }
        }
        Ok(None)
    }

    /// The machine for this memory.
    fn of(&mut self, memory: Memory) -> Result<&mut Vm, NoMemory> {
        let machine = match memory {
            Memory::Light(_) => &mut self.light,
            Memory::Fast(_) => &mut self.fast,
        };
        match machine {
            Some(machine) => {
                machine.switch(memory)?;
                Ok(machine)
            }
            None => Ok(machine.insert(Vm::new(memory, self.pages)?)),
        }
    }

    pub(super) fn let_go(&mut self) {
        (self.light, self.fast) = (None, None);
    }
}
