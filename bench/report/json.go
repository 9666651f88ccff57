package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// File is the name that WriteFile writes.
const File = "report.json"

// JSON returns the report as an indented object with a newline after it.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("report as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// WriteFile writes the report to report.json in the folder, which must exist. It is put there by rename: a reader finds the
// report before or this one, never half of it.
func (r *Report) WriteFile(dir string) error {
	b, err := r.JSON()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, File)
	if err := replace(path, b); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), File+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once it is renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
