# Bakes addagent into images: an AMI, and a disk for qemu (libvirt, Vagrant). No identity, no key and no secret is in
# them; who a node is and where its key comes from is said at its first boot, by addagent-bootstrap.
#
#   packer init packer/                                              # packer 1.7 and newer: fetches the builders
#   packer build -only amazon-ebs.ami -var package=dist/addagent_...deb packer/
#
# Packer 1.6 has its builders inside and reads this file alone: packer build ... packer/addagent.pkr.hcl.
# docs/images.md has more.

variable "package" {
  type        = string
  description = "The .deb (or .rpm, for another source image) of make package."
}

variable "name" {
  type        = string
  default     = "addagent"
  description = "The image is called NAME-YYYYMMDD-HHMMSS, in UTC."
}

variable "tools" {
  type        = string
  default     = "awscli curl ca-certificates"
  description = "Packages of the distribution to install with it, separated by blanks."
}

variable "manifest" {
  type        = string
  default     = "dist/images.json"
  description = "Where the ids of what was made are written."
}

# The AMI.

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "instance_type" {
  type        = string
  default     = "t3.small"
  description = "Its kind of processor is that of the package and of the source image."
}

variable "source_name" {
  type        = string
  default     = "debian-12-amd64-*"
  description = "The newest image of this name is where it begins."
}

variable "source_owner" {
  type        = string
  default     = "136693071363"
  description = "The account of that image's maker, here Debian: a name alone can be taken by anybody."
}

variable "ssh_username" {
  type    = string
  default = "admin"
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Empty: the default VPC."
}

# For a test beside an emulator of AWS.

variable "ec2_endpoint" {
  type    = string
  default = ""
}

variable "emulated" {
  type    = bool
  default = false
}

variable "ssh_host" {
  type    = string
  default = ""
}

variable "ssh_port" {
  type    = number
  default = 22
}

variable "ssh_keypair_name" {
  type    = string
  default = ""
}

variable "ssh_private_key_file" {
  type    = string
  default = ""
}

# The disk.

variable "disk" {
  type        = string
  default     = "dist/debian-12.qcow2"
  description = "A qcow2 to begin with, which lets disk_user in with disk_key_file."
}

variable "disk_user" {
  type    = string
  default = "root"
}

variable "disk_key_file" {
  type        = string
  default     = ""
  description = "A private key. seal takes the login away; a Vagrant box keeps it: seal_flags=--keep-login."
}

variable "seal_flags" {
  type    = string
  default = ""
}

variable "accelerator" {
  type    = string
  default = "kvm"
}

variable "qemuargs" {
  type    = list(list(string))
  default = []
}

locals {
  stamp = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "ami" {
  region        = var.region
  instance_type = var.instance_type
  subnet_id     = var.subnet_id
  ami_name      = "${var.name}-${local.stamp}"

  source_ami_filter {
    filters = {
      name                = var.source_name
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.source_owner]
    most_recent = true
  }

  # No instance profile: baking needs nothing of AWS from inside. Keys are packer's own, for this one instance.
  ssh_username              = var.ssh_username
  ssh_host                  = var.ssh_host
  ssh_port                  = var.ssh_port
  ssh_keypair_name          = var.ssh_keypair_name
  ssh_private_key_file      = var.ssh_private_key_file
  ssh_clear_authorized_keys = false # seal does it, with all else

  # packer/policy.json lets packer stop and end only what carries this.
  run_tags        = { "Name" = "bake ${var.name}", "addagent:bake" = "yes" }
  run_volume_tags = { "addagent:bake" = "yes" }
  tags            = { "Name" = "${var.name}-${local.stamp}", "addagent:bake" = "yes" }

  custom_endpoint_ec2        = var.ec2_endpoint
  skip_region_validation     = var.emulated
  skip_credential_validation = var.emulated
  skip_metadata_api_check    = var.emulated
}

source "qemu" "disk" {
  iso_url              = var.disk
  iso_checksum         = "none" # a file of your own; check it where you got it
  disk_image           = true
  skip_resize_disk     = true
  format               = "qcow2"
  disk_interface       = "virtio"
  net_device           = "virtio-net"
  accelerator          = var.accelerator
  headless             = true
  memory               = 1024
  cpus                 = 2
  qemuargs             = var.qemuargs
  ssh_username         = var.disk_user
  ssh_private_key_file = var.disk_key_file
  ssh_timeout          = "20m"
  shutdown_command     = "sudo -n poweroff || poweroff"
  output_directory     = "dist/${var.name}-${local.stamp}"
  vm_name              = "${var.name}.qcow2"
}

build {
  sources = ["source.amazon-ebs.ami", "source.qemu.disk"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/${basename(var.package)}"
  }
  provisioner "file" {
    source      = "packer/bake"
    destination = "/tmp/bake"
  }
  provisioner "file" {
    source      = "packer/seal"
    destination = "/tmp/seal"
  }
  provisioner "shell" {
    # One shell as root for all: after the seal no login is possible.
    inline = [
      "set -eu; as=; [ \"$(id -u)\" = 0 ] || as='sudo -n'",
      "$as sh /tmp/bake /tmp/${basename(var.package)} ${var.tools}",
      "$as sh /tmp/seal ${var.seal_flags} /",
      "rm -f /tmp/bake /tmp/seal",
    ]
  }

  post-processor "manifest" {
    output = var.manifest
  }
}
