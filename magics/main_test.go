package magics

import (
	"os"
	"testing"

	"github.com/llcuda/llcuda/internal/hub/hubtest"
)

func TestMain(m *testing.M) { os.Exit(hubtest.Run(m)) }
