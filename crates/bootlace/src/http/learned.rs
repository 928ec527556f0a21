//! `/api/v1/learned`: what boots have taught, and what somebody says about it.

use axum::Json;
use axum::extract::State;
use bootlace_core::model::Firmware;
use bootlace_wire::{HwAddr, Mac};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::{Admin, Failure};
use crate::api::LearnedView;
use crate::hub::{self, Pinned};
use crate::services::dhcp::Order;

/// Every fact, by machine.
pub(super) async fn list(State(admin): State<Admin>) -> Json<Vec<LearnedView>> {
    let serving = admin.serving.load();
    let machines = admin.hub.learned();
    let facts = machines.iter().flat_map(|machine| machine.facts.iter().map(|fact| (machine.hw, fact)));
    Json(facts.map(|(hw, fact)| LearnedView::new(hw, fact, &serving.config, &serving.loaders)).collect())
}

/// A machine and how to boot it.
#[derive(Deserialize)]
pub(super) struct Pin {
    mac: String,
    setting: String,
    /// Needed where the machine was never seen, or with several.
    firmware: Option<String>,
}

/// Pins a setting; answered when that is on stable storage.
pub(super) async fn pin(State(admin): State<Admin>, Json(pin): Json<Pin>) -> Result<String, Failure> {
    let hw = machine(&pin.mac)?;
    let setting = pin.setting.parse().map_err(|()| Failure::bad("there is no such setting"))?;
    let firmware = pin.firmware.as_deref().map(str::parse).transpose();
    let firmware = firmware.map_err(|()| Failure::bad("there is no such firmware"))?;
    let keeper = keeper(&admin)?;
    let pinned = match admin.hub.pin(hw, firmware, setting, hub::now()) {
        Pinned::On(firmware) => format!("{hw} is booted by {setting} on {firmware}\n"),
        Pinned::NeverSeen => {
            return Err(Failure::bad("nothing is known of this machine: say its firmware"));
        }
        Pinned::Several(seen) => {
            let seen: Vec<String> = seen.iter().map(Firmware::to_string).collect();
            return Err(Failure::bad(&format!("say its firmware, one of {}", seen.join(", "))));
        }
    };
    keeper.keep().await?;
    Ok(pinned)
}

/// A machine to forget.
#[derive(Deserialize)]
pub(super) struct Clear {
    mac: String,
}

/// Forgets what is known of a machine; answered when that is on stable storage.
pub(super) async fn clear(State(admin): State<Admin>, Json(clear): Json<Clear>) -> Result<String, Failure> {
    let hw = machine(&clear.mac)?;
    let keeper = keeper(&admin)?;
    if !admin.hub.unlearn(hw) {
        return Err(Failure::absent("nothing is known of this machine"));
    }
    keeper.keep().await?;
    Ok(format!("what was known of {hw} is forgotten\n"))
}

fn machine(mac: &str) -> Result<HwAddr, Failure> {
    mac.parse::<Mac>().map(HwAddr::from).map_err(|_| Failure::bad("this is no MAC"))
}

/// Whoever owns the store.
struct Keeper(std::sync::Arc<crate::services::dhcp::Orders>);

fn keeper(admin: &Admin) -> Result<Keeper, Failure> {
    admin
        .orders
        .upgrade()
        .map(Keeper)
        .ok_or_else(|| Failure::conflict("DHCP is off: nothing is learned here"))
}

impl Keeper {
    async fn keep(self) -> Result<(), Failure> {
        let (answer, kept) = oneshot::channel();
        self.0.send(Order::Keep(answer));
        drop(self);
        kept.await.map_err(|_| Failure::conflict("the server stops"))??;
        Ok(())
    }
}
