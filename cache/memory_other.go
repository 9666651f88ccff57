//go:build !linux

package cache

// memory is where a table's arrays lie: on the Go heap, which is all that can be had on every system.
type memory struct{}

// allot makes an empty array.
func (*memory) allot(width uint64) *array {
	return &array{buckets: make([]bucket, width*partitions), width: width}
}

// populate does nothing: the memory is there.
func (*array) populate() {}

// release leaves an array to the collector.
func (*memory) release(*array) {}

type slot struct{}
