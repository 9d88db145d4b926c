//! Values that the handlers of a worker share, such as a database pool, a client or settings.

use std::any::{Any, type_name};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::text::TypeName;

use super::{RegisterError, TaskError};

/// A value that the handlers of a worker share, such as a database pool, a client or settings.
///
/// The worker is given the value once, with `.state(value)`. A [`Handler`](super::Handler) takes up
/// to four of them as its first parameters, each of another type:
///
/// ```
/// use ivy_proto::task::{Registry, State, States, Task};
///
/// struct Prices {
///     cents: u64,
/// }
///
/// const PRICE: Task<(u64,), u64> = Task::new("shop.price").queue("shop");
///
/// async fn price(State(prices): State<Prices>, amount: u64) -> Result<u64, String> {
///     Ok(amount * prices.cents)
/// }
///
/// let mut states = States::new();
/// states.add(Prices { cents: 250 })?;
/// let mut registry = Registry::<()>::new();
/// registry.register(&PRICE, price)?;
/// registry.set_states(states)?;
/// # Ok::<(), ivy_proto::task::RegisterError>(())
/// ```
///
/// Clones share the value. `Debug` shows its type and not the value, which may contain secrets.
pub struct State<T>(
    /// The value.
    pub Arc<T>,
);

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        State(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State<{}>", TypeName(type_name::<T>()))
    }
}

/// The values that a worker has for its handlers, one of each type. See [`State`].
#[derive(Clone, Default)]
pub struct States(Vec<Value>);

/// A value, and the name of its type.
type Value = (&'static str, Arc<dyn Any + Send + Sync>);

impl States {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        States::default()
    }

    /// Adds a value.
    ///
    /// # Errors
    /// [`TwoStates`](RegisterError::TwoStates) if there is one of this type.
    pub fn add<T: Send + Sync + 'static>(&mut self, value: T) -> Result<(), RegisterError> {
        if self.find::<T>().is_some() {
            return Err(RegisterError::TwoStates(type_name::<T>()));
        }
        self.0.push((type_name::<T>(), Arc::new(value)));
        Ok(())
    }

    /// The value of this type.
    ///
    /// # Errors
    /// If there is none.
    pub fn get<T: Send + Sync + 'static>(&self) -> Result<State<T>, MissingState> {
        self.find().ok_or(MissingState(type_name::<T>()))
    }

    fn find<T: Send + Sync + 'static>(&self) -> Option<State<T>> {
        let (_, value) = self.0.iter().find(|(_, value)| value.as_ref().is::<T>())?;
        Arc::clone(value).downcast().ok().map(State)
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// There is no [`State`] of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker has no State<{}>; add it with .state(..)", TypeName(.0))]
pub struct MissingState(pub(super) &'static str);

impl From<MissingState> for TaskError {
    fn from(missing: MissingState) -> Self {
        TaskError::from_error(&missing)
    }
}

/// The states that a handler takes: a tuple of up to four [`State`]s.
pub trait HandlerStates: sealed::Tuple + Sized + Send + 'static {
    /// Takes them from those of the worker.
    ///
    /// # Errors
    /// If one is missing.
    fn take(states: &States) -> Result<Self, MissingState>;
}

mod sealed {
    pub trait Tuple {}
}

macro_rules! states {
    ($($value:ident)+) => {
        impl<$($value),+> sealed::Tuple for ($(State<$value>,)+) {}

        impl<$($value: Send + Sync + 'static),+> HandlerStates for ($(State<$value>,)+) {
            fn take(states: &States) -> Result<Self, MissingState> {
                Ok(($(states.get::<$value>()?,)+))
            }
        }
    };
}

impl sealed::Tuple for () {}

impl HandlerStates for () {
    fn take(_: &States) -> Result<Self, MissingState> {
        Ok(())
    }
}

states!(A);
states!(A B);
states!(A B C);
states!(A B C D);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Name(&'static str);

    fn states() -> States {
        let mut states = States::new();
        states.add(Name("ivy")).unwrap();
        states.add(7_u32).unwrap();
        states
    }

    #[test]
    fn each_type_has_its_own_value() {
        let (name, number) = <(State<Name>, State<u32>)>::take(&states()).unwrap();
        assert_eq!((name.0.as_ref(), *number), (&Name("ivy"), 7));
    }

    #[test]
    fn clones_share_the_value() {
        let states = states();
        let (one, other) = (states.get::<Name>().unwrap(), states.clone().get::<Name>().unwrap());
        assert!(Arc::ptr_eq(&one.0, &other.0));
    }

    #[test]
    fn a_missing_value_is_named() {
        let missing = <(State<Name>, State<u64>)>::take(&states()).unwrap_err();
        assert_eq!(missing, MissingState("u64"));
        assert_eq!(missing.to_string(), "the worker has no State<u64>; add it with .state(..)");
    }

    #[test]
    fn a_second_value_of_a_type_is_refused() {
        assert_eq!(states().add(8_u32), Err(RegisterError::TwoStates("u32")));
    }

    #[test]
    fn debug_shows_types_and_no_values() {
        let states = states();
        assert_eq!(format!("{:?}", states.get::<Name>().unwrap()), "State<Name>");
        assert!(!format!("{states:?}").contains("ivy\""), "{states:?}");
    }
}
