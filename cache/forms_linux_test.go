package cache

func init() {
	forms = []form{
		{"mapped", func() { onHeap = false }},
		{"heap", func() { onHeap = true }},
	}
}
