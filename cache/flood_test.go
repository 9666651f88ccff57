package cache

import (
	"math"
	"strconv"
	"testing"
)

// flood is what an attacker sends who can choose ids, but knows another seed than the one in use: as good as no seed.
type flood struct {
	name string
	pick func(ks []Key) []int // of the ids' keys under that seed
	n    int                  // at least
}

// The ids that an attacker tries out.
const tried = 1_000_000

var floods = []flood{
	{"one shard", picks(func(k Key) bool { return shardOf(k) == 5 }), 7000},
	{"one partition of each shard", picks(func(k Key) bool { return addressOf(k).partition == 77 }), 3000},
	{"one bucket of each partition", picks(func(k Key) bool { return k.Lo>>54 == 0 }), 800},
	{"one partition of one of 16 shards", picks(func(k Key) bool { return k.Hi>>52&0x1ff == 99 }), 1500},
	{"one second partition", picks(func(k Key) bool { return otherPartition(addressOf(k).partition, k.Lo) == 3 }), 3000},
	{"one bit of the filter", picks(func(k Key) bool { return filterBit(k.Lo) == filterBit(6) }), 100_000},
	{"20 bits of the tag, with others", pickCrowded, 15_000},
}

func picks(wanted func(Key) bool) func([]Key) []int {
	return func(ks []Key) (is []int) {
		for i, k := range ks {
			if wanted(k) {
				is = append(is, i)
			}
		}
		return is
	}
}

// pickCrowded picks those that share the high 20 bits of their tags with the most others.
func pickCrowded(ks []Key) (is []int) {
	count := make([]uint8, 1<<20)
	for _, k := range ks {
		count[k.Lo>>44]++
	}
	return picks(func(k Key) bool { return count[k.Lo>>44] >= 4 })(ks)
}

// Whoever knows another seed can't aim: what he picked falls like any other ids, and costs the table no more.
func TestFloodsSpread(t *testing.T) {
	known, secret := Seed{1, 2}, Seed{3, 4}
	ks := make([]Key, tried)
	for i := range ks {
		ks[i] = known.Key(floodID(i))
	}
	for _, f := range floods {
		t.Run(f.name, func(t *testing.T) {
			is := f.pick(ks)
			if len(is) < f.n {
				t.Fatalf("%d of %d ids are picked, want %d", len(is), tried, f.n)
			}
			aimed, kept := make([]Key, len(is)), make([]Key, len(is))
			for j, i := range is {
				aimed[j], kept[j] = ks[i], secret.Key(floodID(i))
			}
			if worst, _ := unevenness(aimed); worst < 20 {
				t.Errorf("the ids are aimed at nothing: %.1f sigma", worst)
			}
			if worst, what := unevenness(kept); worst > 5 {
				t.Errorf("%s are hit unevenly: %.1f sigma", what, worst)
			}
			costsNoMore(t, kept, honestKeys(secret, len(kept)))
		})
	}
}

func honestKeys(s Seed, n int) (keys []Key) {
	for i := range n {
		keys = append(keys, s.Key(floodID(tried+i)))
	}
	return keys
}

func floodID(i int) []byte { return strconv.AppendInt([]byte("d"), int64(i), 10) }

// places are what an attacker would want to aim at, as numbers of some bits.
var places = map[string]struct {
	bits int
	of   func(Key) uint64
}{
	"shards":                 {shardBits, shardOf},
	"partitions":             {partitionBits, func(k Key) uint64 { return addressOf(k).partition }},
	"partitions of shards":   {shardBits + partitionBits, func(k Key) uint64 { return k.Hi >> (64 - shardBits - partitionBits) }},
	"second partitions":      {partitionBits, func(k Key) uint64 { return otherPartition(addressOf(k).partition, k.Lo) }},
	"buckets of a partition": {10, func(k Key) uint64 { return k.Lo >> 54 }},
	"second buckets":         {10, func(k Key) uint64 { return mix(k.Lo) >> 54 }},
	"bits of the filter":     {3, func(k Key) uint64 { return k.Lo & (filterBits - 1) }},
	"beginnings of tags":     {20, func(k Key) uint64 { return k.Lo >> 44 }},
	"ends of tags":           {20, func(k Key) uint64 { return k.Lo & (1<<20 - 1) }},
}

// unevenness is by how much chi-squared of the keys' places exceeds what chance gives, in its standard deviations, and of
// which places.
func unevenness(keys []Key) (worst float64, what string) {
	for name, place := range places {
		counts := make([]float64, 1<<place.bits)
		for _, k := range keys {
			counts[place.of(k)]++
		}
		squares := 0.0
		for _, c := range counts {
			squares += c * c
		}
		bins, n := float64(len(counts)), float64(len(keys))
		if sigmas := (squares*bins/n - n - (bins - 1)) / math.Sqrt(2*(bins-1)); sigmas > worst {
			worst, what = sigmas, name
		}
	}
	return worst, what
}

// costsNoMore compares a table of some subjects with one of as many others. They are put into so few shards that these grow.
func costsNoMore(t *testing.T, keys, honest []Key) {
	t.Helper()
	shards := uint64(len(keys)+3999) / 4000
	a, b := audit(t, tableOf(fold(keys, shards))), audit(t, tableOf(fold(honest, shards)))
	if few := math.Sqrt(float64(a.Second + b.Second)); float64(a.Second-b.Second) > 5*few || float64(a.Bytes) > 1.05*float64(b.Bytes) {
		t.Errorf("%+v, with honest ids %+v", a, b)
	}
}
