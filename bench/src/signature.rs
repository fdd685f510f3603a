//! What a signature costs with nothing around it: the floor of whatever signs in a process.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use nix::time::{ClockId, clock_gettime};

use crate::keys::Keys;
use crate::load::WARM_UP;

/// Signs as the native module does, on a thread of its own.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    input: Vec<u8>,
}

/// What a slice did, without its warm-up.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) signatures: u32,
    pub(crate) cpu: Duration,
}

impl Signer {
    /// With the key of all variants, over something of this length.
    pub(crate) fn new(keys: &Keys, bytes: usize) -> anyhow::Result<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, keys.signing());
        Ok(Self { key: key.map_err(|error| anyhow!("{error}"))?, input: vec![b'a'; bytes] })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.input.len()
    }

    /// Signs for as long as the load takes.
    pub(crate) fn while_loaded<T>(&self, load: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<Signed> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let signer = scope.spawn(|| self.sign_until(&over));
            let loaded = load();
            over.store(true, Relaxed);
            let signed = signer.join().map_err(|_| anyhow!("the signer panicked"))?;
            loaded.and(signed)
        })
    }

    fn sign_until(&self, over: &AtomicBool) -> anyhow::Result<Signed> {
        let started = thread_cpu()?;
        while thread_cpu()?.saturating_sub(started) < WARM_UP && !over.load(Relaxed) {
            self.sign()?;
        }
        let (mut signatures, before) = (0, thread_cpu()?);
        while !over.load(Relaxed) {
            self.sign()?;
            signatures += 1;
        }
        Ok(Signed { signatures, cpu: thread_cpu()?.saturating_sub(before) })
    }

    fn sign(&self) -> anyhow::Result<()> {
        let signature = self.key.sign(&SystemRandom::new(), &self.input).map_err(|error| anyhow!("{error}"))?;
        std::hint::black_box(signature);
        Ok(())
    }
}

/// User and system time of this thread.
fn thread_cpu() -> anyhow::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}
