//! Menus, which nobody looks at: the default is taken.

use crate::limits::MENU_ITEMS_MAX;

/// An entry; without a label it is a gap or a heading.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) label: Option<String>,
    pub(super) is_default: Preselected,
}

/// Whether the script marks an entry as the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preselected {
    Yes,
    No,
}

/// A menu under construction.
#[derive(Debug, Default)]
pub(super) struct Menu {
    items: Vec<Item>,
}

impl Menu {
    pub(super) fn add(&mut self, item: Item) -> bool {
        let has_room = self.items.len() < MENU_ITEMS_MAX;
        if has_room {
            self.items.push(item);
        }
        has_room
    }

    /// What is taken when nobody touches a key: the default, else the first entry.
    pub(super) fn pick(&self, default: Option<&str>) -> Option<String> {
        let named = |label: &&Item| label.label.as_deref() == default && default.is_some();
        let marked = |item: &&Item| item.is_default == Preselected::Yes && item.label.is_some();
        let mut items = self.items.iter();
        let found = items.clone().find(named).or_else(|| items.clone().find(marked));
        found.or_else(|| items.find(|item| item.label.is_some()))?.label.clone()
    }
}
