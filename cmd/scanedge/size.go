package main

import (
	"fmt"
	"strconv"
	"strings"
)

// byteSize is a flag's number of bytes: 1073741824, 1GiB, 1.5GiB, 512MiB, 64KiB.
type byteSize int64

var byteUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Set reads a size.
func (s *byteSize) Set(text string) error {
	number, unit := text, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = n, u.size
			break
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if size := f * float64(unit); err != nil || !(size >= 0 && size < 1<<62) {
		return fmt.Errorf("%q is no size; give bytes, or a number with KiB, MiB, GiB or TiB", text)
	}
	*s = byteSize(f * float64(unit))
	return nil
}

// String writes a size in the largest unit of which it is a whole number.
func (s byteSize) String() string {
	for _, u := range byteUnits {
		if s != 0 && int64(s)%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Type names the flag's kind in the help.
func (s *byteSize) Type() string { return "size" }
