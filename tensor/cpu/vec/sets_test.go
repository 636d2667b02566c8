//go:build !amd64

package vec

type set struct {
	name  string
	loops loops
}

func sets() []set { return []set{{"plain", plain}} }
