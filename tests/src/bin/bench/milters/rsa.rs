//! Signatures without anything around them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::processes::processor_time;
use crate::rounds::Speed;

/// As many as there are cores in the comparison.
const THREADS: usize = 2;

/// Signatures per second with a key in PEM form.
pub(crate) fn speed(pem: &[u8], time: Duration) -> anyhow::Result<Speed> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem)?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())?;
    let before = processor_time("/proc/self/stat")?;
    let rates = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| signatures(&pair, time)))
            .collect();
        let rates = threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"));
        rates.collect::<anyhow::Result<Vec<f64>>>()
    })?;
    let rate: f64 = rates.iter().sum();
    let used = processor_time("/proc/self/stat")?.saturating_sub(before);
    Ok(Speed {
        rate,
        processor: 1e3 * used.as_secs_f64() / (rate * time.as_secs_f64()),
    })
}

fn signatures(pair: &RsaKeyPair, time: Duration) -> anyhow::Result<f64> {
    let mut signature = vec![0; pair.public_modulus_len()];
    let started = Instant::now();
    let mut made = 0_u32;
    while started.elapsed() < time {
        // About as long as a header in canonical form.
        let header = [made as u8; 600];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            &header,
            &mut signature,
        )
        .map_err(|_| anyhow!("signing failed"))?;
        made += 1;
    }
    Ok(f64::from(made) / started.elapsed().as_secs_f64())
}
