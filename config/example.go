package config

// Example returns a config file that sets nothing and shows every key of this version with its default and what it is
// for. Uncommented it is a working example, but for the repository and the files that it names.
func Example() []byte { return []byte(example) }

const example = `# The configuration of addagent. Every key is optional; what is commented out here shows the default.
# An unknown key or a bad value is an error. See what is in force, and from where, with: addagent check

# Where people's files live: nodeinfo/, gitrepo/, log/.
#home: /root
# Locks. Never deleted while the agent runs.
#run_dir: /run/addagent
# What must survive a wiped clone: who this node is.
#state_dir: /var/lib/addagent

#beat:
  # When to look: five-field cron in UTC, or "@every 10s".
  #schedule: "* * * * *"
  # This node's own offset is below this, and below the interval; it is the same for ever.
  #spread: 50s
  # The same idea between a look that found something and its work; minutes for a thousand nodes.
  #work_spread: 0s
  # Asking one repository whether something is new.
  #look_timeout: 20s
  # No byte, no object, no file for so long ends a fetch.
  #fetch_stall: 1m
  # A whole fetch.
  #fetch_timeout: 30m

# The repositories to work. Without any, every clone found in gitrepo/ is worked.
#repos:
  # The folder below gitrepo/; without it, the last part of the URL.
  #- name: ops
    # https://, http://, ssh:// or git://host/path, user@host:path, file:///path or an absolute path.
    #url: https://git.example.org/ops.git
    # Without it, the remote's HEAD. Fields of nodeinfo are filled in: "{deployment}".
    #branch: main
    #auth:
      # For https: a token, or a name and a password. Files are read anew when they change.
      #token_file: /etc/addagent/git-token
      #username: bot
      #password_file: /etc/addagent/git-password
      # For ssh.
      #ssh_key_file: /etc/addagent/git-key
      #known_hosts_file: /etc/addagent/known_hosts
    # What a rewritten or moved-back branch means: follow (and say so) or refuse.
    #rewind: follow
    #verify:
      # Signatures: only "off" in this version.
      #mode: "off"
# With repos: work the other clones in gitrepo/ too.
#discover: false

#work:
  # A script that runs longer is ended, and killed after the grace.
  #timeout: 1h
  #grace: 30s
  # Delay after the first failure, and the longest one; it grows in between.
  #retry_first: 1m
  #retry_max: 15m
  # So many failures in a row make the node wedged.
  #wedge_after: 3
  # Added to the environment of scripts.
  #env:
    #LC_ALL: C.UTF-8

#ec2:
  # Telling the state in EC2 tags: only "off" in this version.
  #tags: "off"

#log:
  # debug, info, warn or error.
  #level: info
  # text or json.
  #format: text
  # Write log/addagent.log, rotated at max_size_mb, keeping so many old ones.
  #file: true
  #max_size_mb: 20
  #keep: 5
`
