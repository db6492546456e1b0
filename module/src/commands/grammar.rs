//! A command declares its arguments once, with [`arguments!`]. The declaration is what the command parses by, what
//! `COMMAND DOCS` says, what the server checks the number of arguments by, and the struct that the command gets. So a
//! command cannot take what its grammar does not declare.
//!
//! ```text
//! arguments! {
//!     struct Arguments<'a> {
//!         key: Arg<'a> = key(),                             key
//!         id: SessionId = value("id", Id),                  id
//!         ip: Option<IpAddr> = option("IP", "ip", Ip),      [IP ip]
//!         is_full: bool = flag("FULL"),                     [FULL]
//!     }
//! }
//! ```
//!
//! Arguments without a word come first, in the order of the declaration. Options follow in any order, each at most once.

use redis_session_core::sessions::Data;

use super::kinds::{FieldName, FieldValue, Kind, Redacted, Whole, pack};
use super::parser::{Parser, Word};
use crate::ffi::{Arg, Argument, Failure, Form};

/// The arguments of a command.
pub(super) trait Arguments<'a>: Sized {
    /// As `COMMAND DOCS` has them.
    fn describe() -> Vec<Argument>;

    fn parse(parser: Parser<'_, 'a>) -> Result<Self, Failure>;
}

/// No arguments.
impl<'a> Arguments<'a> for () {
    fn describe() -> Vec<Argument> {
        Vec::new()
    }

    fn parse(mut parser: Parser<'_, 'a>) -> Result<Self, Failure> {
        parser.word().map_or(Ok(()), |word| Err(word.unknown()))
    }
}

/// Declares a struct of arguments: of each field the type and the part of the grammar.
macro_rules! arguments {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(<$of:lifetime>)? {
        $($(#[$about:meta])* $field:ident: $type:ty = $part:expr,)+
    }) => {
        $(#[$meta])*
        $vis struct $name $(<$of>)? {
            $($(#[$about])* pub(super) $field: $type,)+
        }

        impl<'a> $crate::commands::grammar::Arguments<'a> for $name $(<$of>)? {
            fn describe() -> Vec<$crate::ffi::Argument> {
                [$($crate::commands::grammar::Part::describe(&$part)),+].into_iter().flatten().collect()
            }

            fn parse(
                mut parser: $crate::commands::parser::Parser<'_, 'a>,
            ) -> Result<Self, $crate::ffi::Failure> {
                $(let mut $field = $crate::commands::grammar::Place::new($part);)+
                $($field.take_next(&mut parser)?;)+
                while let Some(word) = parser.word() {
                    $(if $field.take_if_named(word, &mut parser)? {
                        continue;
                    })+
                    return Err(word.unknown());
                }
                Ok(Self { $($field: $field.finish()?,)+ })
            }
        }
    };
}
pub(super) use arguments;

/// A part of a grammar.
pub(super) trait Part<'a> {
    /// What there is of it while arguments are parsed.
    type Given;
    /// What the command gets.
    type Value;

    /// As `COMMAND DOCS` has it. Parts for replication alone are not there.
    fn describe(&self) -> Option<Argument>;

    /// Takes the next argument into `given`, if this is a part without a word.
    fn take_next(&self, _parser: &mut Parser<'_, 'a>, _given: &mut Option<Self::Given>) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes what follows `word` into `given`, if this is an option with that word. Says whether it is.
    fn take_if_named(
        &self,
        _word: Word<'a>,
        _parser: &mut Parser<'_, 'a>,
        _given: &mut Option<Self::Given>,
    ) -> Result<bool, Failure> {
        Ok(false)
    }

    fn finish(&self, given: Option<Self::Given>) -> Result<Self::Value, Failure>;
}

/// A part, and what there is of it so far.
pub(super) struct Place<'a, P: Part<'a>> {
    part: P,
    given: Option<P::Given>,
}

impl<'a, P: Part<'a>> Place<'a, P> {
    pub(super) fn new(part: P) -> Self {
        Self { part, given: None }
    }

    pub(super) fn take_next(&mut self, parser: &mut Parser<'_, 'a>) -> Result<(), Failure> {
        self.part.take_next(parser, &mut self.given)
    }

    // Inlined, so that most words that an option is not cost a comparison of lengths.
    #[inline(always)]
    pub(super) fn take_if_named(&mut self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<bool, Failure> {
        self.part.take_if_named(word, parser, &mut self.given)
    }

    pub(super) fn finish(self) -> Result<P::Value, Failure> {
        self.part.finish(self.given)
    }
}

/// `key`
pub(super) fn key() -> Key {
    Key
}

pub(super) struct Key;

impl<'a> Part<'a> for Key {
    type Given = Arg<'a>;
    type Value = Arg<'a>;

    fn describe(&self) -> Option<Argument> {
        Some(Argument::new("key", None, Form::Key))
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<Arg<'a>>) -> Result<(), Failure> {
        *given = parser.arg();
        Ok(())
    }

    fn finish(&self, given: Option<Arg<'a>>) -> Result<Arg<'a>, Failure> {
        given.ok_or(Failure::Arity)
    }
}

/// `name`: a value that must be there.
pub(super) fn value<K>(name: &'static str, kind: K) -> Value<K> {
    Value { name, kind }
}

pub(super) struct Value<K> {
    name: &'static str,
    kind: K,
}

impl<'a, K: Kind<'a>> Part<'a> for Value<K> {
    type Given = K::Value;
    type Value = K::Value;

    fn describe(&self) -> Option<Argument> {
        Some(Argument::new(self.name, None, K::FORM))
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<K::Value>) -> Result<(), Failure> {
        *given = Some(parser.value(self.name, &self.kind)?);
        Ok(())
    }

    fn finish(&self, given: Option<K::Value>) -> Result<K::Value, Failure> {
        given.ok_or(Failure::Arity)
    }
}

/// `name | WORD ...`: a value that must be there, or `alternative` in its place.
pub(super) fn value_or<K, A>(name: &'static str, kind: K, alternative: A) -> ValueOr<K, A> {
    ValueOr { value: value(name, kind), alternative }
}

pub(super) struct ValueOr<K, A> {
    value: Value<K>,
    alternative: A,
}

impl<'a, K: Kind<'a>, A: Alternative<'a>> Part<'a> for ValueOr<K, A>
where
    A::Value: From<K::Value>,
{
    type Given = A::Value;
    type Value = A::Value;

    fn describe(&self) -> Option<Argument> {
        let mut all: Vec<_> = self.value.describe().into_iter().collect();
        self.alternative.describe(&mut all);
        let names: Vec<_> = all.iter().map(|argument| argument.name.as_str()).collect();
        Some(Argument::new(names.join("-or-"), None, Form::OneOf(all)))
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<A::Value>) -> Result<(), Failure> {
        *given = Some(match take_ahead(&self.alternative, parser)? {
            Some(value) => value,
            None => A::Value::from(parser.value(self.value.name, &self.value.kind)?),
        });
        Ok(())
    }

    fn finish(&self, given: Option<A::Value>) -> Result<A::Value, Failure> {
        given.ok_or(Failure::Arity)
    }
}

/// `name [name ...]`: values up to the end.
pub(super) fn values<K>(name: &'static str, kind: K) -> Values<K> {
    Values { name, kind, most: usize::MAX, called: name }
}

pub(super) struct Values<K> {
    name: &'static str,
    kind: K,
    most: usize,
    called: &'static str,
}

impl<K> Values<K> {
    /// No more than `most` of them, which errors call `called`.
    pub(super) fn at_most(self, most: usize, called: &'static str) -> Self {
        Self { most, called, ..self }
    }
}

impl<'a, K: Kind<'a>> Part<'a> for Values<K> {
    type Given = Vec<K::Value>;
    type Value = Vec<K::Value>;

    fn describe(&self) -> Option<Argument> {
        Some(Argument::new(self.name, None, K::FORM).repeated())
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<Vec<K::Value>>) -> Result<(), Failure> {
        let mut values = vec![parser.value(self.name, &self.kind)?];
        while parser.has_more() {
            if values.len() == self.most {
                return Err(Failure::invalid(format!("more than {} {} at once", self.most, self.called)));
            }
            values.push(parser.value(self.name, &self.kind)?);
        }
        *given = Some(values);
        Ok(())
    }

    fn finish(&self, given: Option<Vec<K::Value>>) -> Result<Vec<K::Value>, Failure> {
        given.ok_or(Failure::Arity)
    }
}

/// `field value [field value ...]` up to the end, each field once.
pub(super) fn fields() -> Fields {
    Fields
}

pub(super) struct Fields;

impl<'a> Part<'a> for Fields {
    type Given = Data<'static>;
    type Value = Data<'static>;

    fn describe(&self) -> Option<Argument> {
        Some(field_and_value())
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<Data<'static>>) -> Result<(), Failure> {
        let mut fields = vec![(parser.value("field", &FieldName)?, parser.value("value", &FieldValue)?)];
        while parser.has_more() {
            fields.push((parser.value("field", &FieldName)?, parser.value("value", &FieldValue)?));
        }
        *given = Some(pack(fields, "a field is given twice")?);
        Ok(())
    }

    fn finish(&self, given: Option<Data<'static>>) -> Result<Data<'static>, Failure> {
        given.ok_or(Failure::Arity)
    }
}

fn field_and_value() -> Argument {
    let text = |name| Argument::new(name, None, Form::Text);
    Argument::new("field-value", None, Form::Block(vec![text("field"), text("value")])).repeated()
}

/// `[WORD]`
pub(super) fn flag(word: &'static str) -> Flag {
    Flag(Bare { word, value: () })
}

pub(super) struct Flag(Bare<()>);

impl<'a> Part<'a> for Flag {
    type Given = Chosen<()>;
    type Value = bool;

    fn describe(&self) -> Option<Argument> {
        describe(&self.0).map(Argument::optional)
    }

    #[inline(always)]
    fn take_if_named(
        &self,
        word: Word<'a>,
        parser: &mut Parser<'_, 'a>,
        given: &mut Option<Self::Given>,
    ) -> Result<bool, Failure> {
        take_once(&self.0, word, parser, given)
    }

    fn finish(&self, given: Option<Self::Given>) -> Result<bool, Failure> {
        Ok(given.is_some())
    }
}

/// `[WORD name]` in this place, before a value that takes all that follows.
pub(super) fn leading<A>(alternative: A) -> Leading<A> {
    Leading(alternative)
}

pub(super) struct Leading<A>(A);

impl<'a, A: Alternative<'a>> Part<'a> for Leading<A> {
    type Given = A::Value;
    type Value = Option<A::Value>;

    fn describe(&self) -> Option<Argument> {
        describe(&self.0).map(Argument::optional)
    }

    fn take_next(&self, parser: &mut Parser<'_, 'a>, given: &mut Option<A::Value>) -> Result<(), Failure> {
        *given = take_ahead(&self.0, parser)?;
        Ok(())
    }

    fn finish(&self, given: Option<A::Value>) -> Result<Option<A::Value>, Failure> {
        Ok(given)
    }
}

/// Takes what comes next, if it is one of the alternatives.
fn take_ahead<'a, A: Alternative<'a>>(
    alternative: &A,
    parser: &mut Parser<'_, 'a>,
) -> Result<Option<A::Value>, Failure> {
    let mut ahead = *parser;
    let Some(word) = ahead.word() else { return Ok(None) };
    let chosen = alternative.take(word, &mut ahead)?;
    if chosen.is_some() {
        *parser = ahead;
    }
    Ok(chosen.map(|chosen| chosen.value))
}

/// `[WORD name]`
pub(super) fn option<K>(word: &'static str, name: &'static str, kind: K) -> Optional<Worded<K>> {
    Optional(worded(word, name, kind))
}

/// One of the alternatives, or none.
pub(super) fn optional<A>(alternative: A) -> Optional<A> {
    Optional(alternative)
}

pub(super) struct Optional<A>(A);

impl<'a, A: Alternative<'a>> Part<'a> for Optional<A> {
    type Given = Chosen<A::Value>;
    type Value = Option<A::Value>;

    fn describe(&self) -> Option<Argument> {
        describe(&self.0).map(Argument::optional)
    }

    #[inline(always)]
    fn take_if_named(
        &self,
        word: Word<'a>,
        parser: &mut Parser<'_, 'a>,
        given: &mut Option<Self::Given>,
    ) -> Result<bool, Failure> {
        take_once(&self.0, word, parser, given)
    }

    fn finish(&self, given: Option<Self::Given>) -> Result<Option<A::Value>, Failure> {
        Ok(given.map(|given| given.value))
    }
}

/// `WORD name`: an option that must be there.
pub(super) fn required<K>(word: &'static str, name: &'static str, kind: K) -> Required<Worded<K>> {
    Required(worded(word, name, kind))
}

pub(super) struct Required<A>(A);

impl<'a, A: Alternative<'a>> Part<'a> for Required<A> {
    type Given = Chosen<A::Value>;
    type Value = A::Value;

    fn describe(&self) -> Option<Argument> {
        describe(&self.0)
    }

    #[inline(always)]
    fn take_if_named(
        &self,
        word: Word<'a>,
        parser: &mut Parser<'_, 'a>,
        given: &mut Option<Self::Given>,
    ) -> Result<bool, Failure> {
        take_once(&self.0, word, parser, given)
    }

    fn finish(&self, given: Option<Self::Given>) -> Result<A::Value, Failure> {
        let missing = || {
            let name = describe(&self.0).and_then(|argument| argument.word).unwrap_or("an option");
            Failure::invalid(format!("{name} is missing"))
        };
        given.map(|given| given.value).ok_or_else(missing)
    }
}

/// Takes what follows `word`, if it is one of the alternatives. Of them, one may be given, once.
#[inline(always)]
fn take_once<'a, A: Alternative<'a>>(
    alternative: &A,
    word: Word<'a>,
    parser: &mut Parser<'_, 'a>,
    given: &mut Option<Chosen<A::Value>>,
) -> Result<bool, Failure> {
    let Some(chosen) = alternative.take(word, parser)? else { return Ok(false) };
    let word = chosen.word;
    match given.replace(chosen) {
        None => Ok(true),
        Some(earlier) if earlier.word == word => Err(Failure::invalid(format!("{word} is given twice"))),
        Some(earlier) => Err(Failure::invalid(format!("{word} does not go with {}", earlier.word))),
    }
}

/// One argument for an option, or the choice between them.
fn describe<'a>(alternative: &impl Alternative<'a>) -> Option<Argument> {
    let mut all = Vec::new();
    alternative.describe(&mut all);
    match (all.pop(), all.is_empty()) {
        (last, true) => last,
        (last, false) => {
            all.extend(last);
            let words: Vec<_> = all.iter().filter_map(|argument| argument.word).collect();
            Some(Argument::new(words.join("-or-"), None, Form::OneOf(all)))
        }
    }
}

/// What may be chosen by a word.
pub(super) trait Alternative<'a>: Sized {
    type Value;

    /// Adds it to the alternatives of `COMMAND DOCS`.
    fn describe(&self, all: &mut Vec<Argument>);

    /// Takes what follows `word`, if that is its own.
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<Self::Value>>, Failure>;

    /// This or `other`.
    fn or<B: Alternative<'a, Value = Self::Value>>(self, other: B) -> Or<Self, B> {
        Or(self, other)
    }

    /// This, as `into` makes it.
    fn to<F: Fn(Self::Value) -> T, T>(self, into: F) -> To<Self, F> {
        To(self, into)
    }

    /// This, if it comes from the primary or an append-only file. To clients it is unknown.
    fn replayed(self) -> Replayed<Self> {
        Replayed(self)
    }
}

/// What was chosen, and the word that it was chosen by.
pub(super) struct Chosen<T> {
    word: &'static str,
    value: T,
}

/// `WORD name`
pub(super) fn worded<K>(word: &'static str, name: &'static str, kind: K) -> Worded<K> {
    Worded { word, name, kind }
}

pub(super) struct Worded<K> {
    word: &'static str,
    name: &'static str,
    kind: K,
}

impl<'a, K: Kind<'a>> Alternative<'a> for Worded<K> {
    type Value = K::Value;

    fn describe(&self, all: &mut Vec<Argument>) {
        all.push(Argument::new(self.name, Some(self.word), K::FORM));
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<K::Value>>, Failure> {
        if !word.is(self.word) {
            return Ok(None);
        }
        let value = parser.value_of(self.word, &self.kind)?;
        Ok(Some(Chosen { word: self.word, value }))
    }
}

/// `WORD first second ...`, values of one kind.
pub(super) fn several<K, const N: usize>(word: &'static str, values: [(&'static str, K); N]) -> Several<K, N> {
    Several { word, values }
}

pub(super) struct Several<K, const N: usize> {
    word: &'static str,
    values: [(&'static str, K); N],
}

impl<'a, K: Kind<'a>, const N: usize> Alternative<'a> for Several<K, N>
where
    K::Value: Copy + Default,
{
    type Value = [K::Value; N];

    fn describe(&self, all: &mut Vec<Argument>) {
        let values = self.values.iter().map(|(name, _)| Argument::new(*name, None, K::FORM)).collect();
        all.push(Argument::new(self.word, Some(self.word), Form::Block(values)));
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<Self::Value>>, Failure> {
        if !word.is(self.word) {
            return Ok(None);
        }
        let mut value = [K::Value::default(); N];
        for (place, (_, kind)) in value.iter_mut().zip(&self.values) {
            *place = parser.value_of(self.word, kind)?;
        }
        Ok(Some(Chosen { word: self.word, value }))
    }
}

/// `WORD`, which stands for `value`.
pub(super) fn bare<T>(word: &'static str, value: T) -> Bare<T> {
    Bare { word, value }
}

pub(super) struct Bare<T> {
    word: &'static str,
    value: T,
}

impl<'a, T: Clone> Alternative<'a> for Bare<T> {
    type Value = T;

    fn describe(&self, all: &mut Vec<Argument>) {
        all.push(Argument::new(self.word, Some(self.word), Form::Word));
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, _: &mut Parser<'_, 'a>) -> Result<Option<Chosen<T>>, Failure> {
        Ok(word.is(self.word).then(|| Chosen { word: self.word, value: self.value.clone() }))
    }
}

/// `WORD ONE | OTHER`, each of which stands for a value.
pub(super) fn choice<T: 'static>(word: &'static str, values: &'static [(&'static str, T)]) -> Choice<T> {
    Choice { word, values }
}

pub(super) struct Choice<T: 'static> {
    word: &'static str,
    values: &'static [(&'static str, T)],
}

impl<'a, T: Copy> Alternative<'a> for Choice<T> {
    type Value = T;

    fn describe(&self, all: &mut Vec<Argument>) {
        let words: Vec<_> = self.values.iter().map(|(word, _)| *word).collect();
        let one_of = words.iter().map(|word| Argument::new(*word, Some(word), Form::Word)).collect();
        // In a block: redis-cli forgets the words of a choice with a word of its own as soon as that word is typed.
        let block = vec![Argument::new(words.join("-or-"), None, Form::OneOf(one_of))];
        all.push(Argument::new(self.word, Some(self.word), Form::Block(block)));
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<T>>, Failure> {
        if !word.is(self.word) {
            return Ok(None);
        }
        let value = parser.value_of(self.word, &OneOf(self.values))?;
        Ok(Some(Chosen { word: self.word, value }))
    }
}

/// One of some words.
struct OneOf<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy> Kind<'_> for OneOf<T> {
    type Value = T;

    const REDACTED: Redacted = Redacted::Never;

    fn read(&self, what: &str, bytes: &[u8]) -> Result<T, Failure> {
        let chosen = self.0.iter().find(|(word, _)| bytes.eq_ignore_ascii_case(word.as_bytes()));
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = self.0.iter().map(|(word, _)| *word).collect();
            Failure::invalid(format!("{what} must be {}", words.join(" or ")))
        })
    }
}

/// `WORD n field value [field value ...]`: so many fields, each once.
pub(super) fn counted_fields(word: &'static str, most: i64) -> CountedFields {
    CountedFields { word, most }
}

pub(super) struct CountedFields {
    word: &'static str,
    most: i64,
}

impl<'a> Alternative<'a> for CountedFields {
    type Value = Data<'static>;

    fn describe(&self, all: &mut Vec<Argument>) {
        let parts = vec![Argument::new("n", None, Form::Integer), field_and_value()];
        all.push(Argument::new(self.word, Some(self.word), Form::Block(parts)));
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<Data<'static>>>, Failure> {
        if !word.is(self.word) {
            return Ok(None);
        }
        let count = parser.value_of(self.word, &Whole { min: 1, max: self.most })?;
        let mut fields = Vec::new();
        for _ in 0..count {
            fields.push((parser.value_of(self.word, &FieldName)?, parser.value_of(self.word, &FieldValue)?));
        }
        let value = pack(fields, &format!("{} has a field twice", self.word))?;
        Ok(Some(Chosen { word: self.word, value }))
    }
}

pub(super) struct Or<A, B>(A, B);

impl<'a, A: Alternative<'a>, B: Alternative<'a, Value = A::Value>> Alternative<'a> for Or<A, B> {
    type Value = A::Value;

    fn describe(&self, all: &mut Vec<Argument>) {
        self.0.describe(all);
        self.1.describe(all);
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<A::Value>>, Failure> {
        match self.0.take(word, parser)? {
            Some(chosen) => Ok(Some(chosen)),
            None => self.1.take(word, parser),
        }
    }
}

pub(super) struct To<A, F>(A, F);

impl<'a, A: Alternative<'a>, F: Fn(A::Value) -> T, T> Alternative<'a> for To<A, F> {
    type Value = T;

    fn describe(&self, all: &mut Vec<Argument>) {
        self.0.describe(all);
    }

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<T>>, Failure> {
        let chosen = self.0.take(word, parser)?;
        Ok(chosen.map(|Chosen { word, value }| Chosen { word, value: self.1(value) }))
    }
}

pub(super) struct Replayed<A>(A);

impl<'a, A: Alternative<'a>> Alternative<'a> for Replayed<A> {
    type Value = A::Value;

    fn describe(&self, _: &mut Vec<Argument>) {}

    #[inline(always)]
    fn take(&self, word: Word<'a>, parser: &mut Parser<'_, 'a>) -> Result<Option<Chosen<A::Value>>, Failure> {
        if parser.is_replay() { self.0.take(word, parser) } else { Ok(None) }
    }
}
