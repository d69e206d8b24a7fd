// Holds what each row of the command table says about its arguments against the row's signature. The compiler alone
// checks this: `tsc` reads this file, and nothing in it is ever run.

import type { internals } from "../redis.ts";
import type { Arg, Bytes, Int } from "../redis.ts";

type Table = typeof internals.commands;

/** Forms of a parameter other than one value: "lists", "pairs", "options", or the number of values in an item. */
type Takes<T> =
  T extends readonly unknown[]
    ? ([T[number]] extends [never] ? never : number extends T["length"] ? "lists" : T["length"])
  : T extends ReadonlySet<any> ? "lists" : T extends ReadonlyMap<any, any> ? "pairs" : T extends Bytes ? never
  : T extends object ? (string extends keyof T ? "pairs" : "options") : never;
type OnlyOptions<T> =
  [Exclude<T, object | undefined>, Exclude<Takes<T>, "options">] extends [never, never] ? true : false;

/** Description of the Nth parameter; `End` is -1 if one value follows it at the end. */
type ParameterWord<Kind, N extends number, End extends number> =
  [Kind] extends [never] ? `value ${N}` : "pairs" extends Kind ? `pairs ${N}`
  : [Extract<Kind, number>] extends [never] ? (Kind extends "lists" ? `lists ${N} ${End}` : `options ${N}`)
  : `items ${N} ${Extract<Kind, number>}`;
/** Descriptions of parameters A; the length of I is the position of the first. */
type ParameterWords<A extends readonly unknown[], I extends 0[] = [0], End extends number = 0> =
  A extends readonly [infer First, ...infer Rest]
    ? OnlyOptions<First> extends false ? ParameterWord<Takes<First>, I["length"], End> |
        ("lists" extends Takes<First> ? Extract<ParameterWords<Rest, [...I, 0]>, `options ${string}`>
        : ParameterWords<Rest, [...I, 0]>)
      : OnlyOptions<Rest[number]> extends true ? `options ${I["length"]}`
      : `lead ${I["length"]}` | ParameterWords<Rest, I>
  : A extends readonly [...infer Rest, infer Last]
    ? OnlyOptions<Last> extends true ? `options ${I["length"]}` | ParameterWords<Rest, I> : ParameterWords<Rest, I, -1>
  : A extends readonly [] ? never : ParameterWord<Takes<A[number]>, I["length"], End>;

type UpTo<N extends number, I extends 0[] = [0]> = I["length"] extends N ? N : I["length"] | UpTo<N, [...I, 0]>;
type Smallest<N extends number, All extends number = N> =
  N extends unknown ? ([Exclude<All, N> & UpTo<N>] extends [never] ? N : never) : never;
/** Position of the first optional parameter. */
type FirstOptional<A extends readonly unknown[], I extends 0[] = [0]> =
  A extends readonly [infer First, ...infer Rest]
    ? FirstOptional<Rest, [OnlyOptions<First>, OnlyOptions<Rest[number]>] extends [true, false] ? I : [...I, 0]>
  : I["length"];

/** Descriptions of the options in T that do not take exactly one value. */
type OptionWords<T> = T extends unknown ? "options" extends Takes<T> ? keyof T & string extends ConditionsOf<T>
  ? "*!" | { [N in keyof T & string]-?: OptionWord<N, T[N], ""> }[keyof T & string]
  : { [N in keyof T & string]-?: OptionWord<N, T[N], N extends ConditionsOf<T> ? "!" : ""> }[keyof T & string]
  : never : never;
type OptionWord<N extends string, V, Mark extends string, List extends string = ListWord<V>> =
  true extends V ? `${N}?` : [List] extends [never] ? (Mark extends "" ? never : `${N}${Mark}`)
  : `${N}${Mark} ${List extends `${number}` ? ([Extract<V, Arg>] extends [never] ? List : `1|${List}`) : List}`;
/** Description of an array in V. */
type ListWord<V> =
  V extends readonly [unknown, ...infer Rest]
    ? number extends V["length"] ? (2 extends Takes<Rest[number]> ? "1+2n" : "1+n")
      : [Takes<V[number]>] extends [never] ? `${V["length"]}` : "n+n"
  : V extends readonly unknown[] ? ([V[number]] extends [Int | readonly Int[] | ReadonlySet<Int>] ? "ints" : "n")
  : never;
/** Names of the options in T that are conditions: they may be omitted, but not undefined. */
type ConditionsOf<T> = {
  [N in keyof T & string]: {} extends Pick<T, N> ? ({ [Name in N]: undefined } extends Pick<T, N> ? never : N) : never;
}[keyof T & string];

/** The longest of the tuples A, whose others leave arguments out. */
type Longest<A extends readonly unknown[], N extends number = A["length"]> =
  A extends readonly [] ? A : [Exclude<N, UpTo<A["length"]>>] extends [never] ? A : never;
/** Descriptions that a row must give of its arguments. */
type Needed<F, Optional extends number = Smallest<F extends (...args: infer A) => unknown ? FirstOptional<A> : never>> =
  F extends (...args: infer A) => unknown
    ? OptionWords<A[number]> | Said<ParameterWords<Longest<Required<A>>>, Optional> : never;
type Said<Word, Optional extends number> =
  Word extends `value ${infer N extends number}` ? (N extends Optional ? `optional ${N}` : never)
  : Word extends `options ${infer N extends number}` ? (Optional extends UpTo<N> ? Word : `needs ${N}`)
  : Word;
type Unheld<C, Said, Must> =
  [Exclude<Said, Must>, Exclude<Must, Said>] extends [never, never] ? never : { row: C; said: Said; needed: Must };
type None<T extends never> = T;
/** An error here names the rows whose descriptions differ from their signatures. */
export type Held = None<{
  [C in keyof Table]: Unheld<C, Table[C]["said"], Needed<Table[C]["call"]>>;
}[keyof Table]>;
