//! The way from the root to a file, through symbolic links of the image.

use crate::{Error, LINKS_MAX};

/// The names that are still to be walked, the next one last.
pub(crate) struct Path {
    rest: Vec<String>,
    links: usize,
}

/// The next step.
pub(crate) enum Step {
    /// Into the entry of this name.
    Into(String),
    /// To the parent.
    Up,
}

impl Path {
    pub(crate) fn new(path: &str) -> Self {
        let mut this = Self { rest: Vec::new(), links: 0 };
        this.push(path);
        this
    }

    pub(crate) fn next(&mut self) -> Option<Step> {
        self.rest.pop().map(|name| if name == ".." { Step::Up } else { Step::Into(name) })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes on where a link leads, from the folder that it is in.
    pub(crate) fn follow(&mut self, target: &str) -> Result<(), Error> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Error::Damaged("its symbolic links go round".to_owned()));
        }
        if target.starts_with('/') {
            return Err(Error::Unsupported("a symbolic link leads out of it"));
        }
        self.push(target);
        Ok(())
    }

    fn push(&mut self, path: &str) {
        self.rest.extend(path.rsplit('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned));
    }
}
