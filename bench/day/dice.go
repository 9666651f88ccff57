package day

import (
	"math/bits"
	"math/rand/v2"
)

// dice are the throws that decide visit i: they depend on (seed, i) alone, so that any visit can be made again, at any time,
// to judge its answer. Go promises that a PCG's numbers stay what they are.
type dice struct{ pcg rand.PCG }

func throw(seed, i uint64) *dice {
	d := new(dice)
	d.throw(seed, i)
	return d
}

// throw makes them those of visit i.
func (d *dice) throw(seed, i uint64) { d.pcg.Seed(seed, i) }

// below returns a number from 0 up to n.
func (d *dice) below(n uint64) uint64 {
	hi, _ := bits.Mul64(d.pcg.Uint64(), n)
	return hi
}

// pick returns one of the list.
func pick[T any](d *dice, list []T) T { return list[d.below(uint64(len(list)))] }
