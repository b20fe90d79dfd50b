package gitrepo

// advised is an error and what a person can do about it, with which its text ends. All our errors that know it have a
// method Mend, so that who shows them can take the two apart.
type advised struct {
	error
	advice string
}

func (a *advised) Error() string { return a.error.Error() + ": " + a.advice }
func (a *advised) Unwrap() error { return a.error }
func (a *advised) Mend() string  { return a.advice }
