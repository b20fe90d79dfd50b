# Bakes the image of a group of nodes.json. Written by addctl packer:create, the same for all groups; what differs is in
# packer/GROUP.pkrvars.json. From the folder of nodes.json:
#
#   packer init packer/                                              # packer 1.7 and newer
#   packer build -var-file=packer/GROUP.pkrvars.json packer/         # 1.6: packer/group.pkr.hcl in place of packer/

variable "group" {}

variable "source" {
  type        = string
  default     = ""
  description = "A hash of everything that the image is made of."
}

variable "commit" {
  type    = string
  default = ""
}

locals {
  name    = "${var.group.name} ${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  packer  = try(var.group.packer, {})
  filter  = try([var.group.source_ami.name], [])
  scripts = try(var.group.bake, [])
  package = try([var.group.agent_package], [])
  suffix  = try(element(split(".", var.group.agent_package), length(split(".", var.group.agent_package)) - 1), "deb")
}

source "amazon-ebs" "group" {
  region        = var.group.region
  source_ami    = try(format("%s", var.group.source_ami), "")
  instance_type = try(local.packer.instance_type, var.group.instance_type, "t3.small")
  ami_name      = local.name

  dynamic "source_ami_filter" {
    for_each = local.filter
    content {
      filters     = { "name" = source_ami_filter.value, "root-device-type" = "ebs", "virtualization-type" = "hvm" }
      owners      = [var.group.source_ami.owner]
      most_recent = true
    }
  }

  # packer/policy.json of addagent lets Packer stop and end only what carries this.
  run_tags        = { "Name" = "bake ${var.group.name}", "group" = var.group.name, "addagent:bake" = "yes" }
  run_volume_tags = { "addagent:bake" = "yes" }
  tags = merge(try(var.group.tags, {}), {
    "group" = var.group.name, "Name" = local.name, "addagent:bake" = "yes", "addagent:source" = var.source, "addagent:commit" = var.commit
  })

  ssh_username                = try(var.group.ssh_username, "ubuntu")
  ssh_clear_authorized_keys   = false # seal does it, with all else
  ami_regions                 = try(local.packer.ami_regions, null)
  ami_users                   = try(local.packer.ami_users, null)
  associate_public_ip_address = try(local.packer.associate_public_ip_address, null)
  custom_endpoint_ec2         = try(local.packer.custom_endpoint_ec2, null)
  encrypt_boot                = try(local.packer.encrypt_boot, null)
  iam_instance_profile        = try(local.packer.iam_instance_profile, null)
  kms_key_id                  = try(local.packer.kms_key_id, null)
  skip_credential_validation  = try(local.packer.skip_credential_validation, null)
  skip_metadata_api_check     = try(local.packer.skip_metadata_api_check, null)
  skip_region_validation      = try(local.packer.skip_region_validation, null)
  ssh_host                    = try(local.packer.ssh_host, null)
  ssh_interface               = try(local.packer.ssh_interface, null)
  ssh_keypair_name            = try(local.packer.ssh_keypair_name, null)
  ssh_port                    = try(local.packer.ssh_port, null)
  ssh_private_key_file        = try(local.packer.ssh_private_key_file, null)
  ssh_timeout                 = try(local.packer.ssh_timeout, null)
  subnet_id                   = try(local.packer.subnet_id, null)
  vpc_id                      = try(local.packer.vpc_id, null)
}

build {
  sources = ["source.amazon-ebs.group"]

  dynamic "provisioner" {
    labels   = ["file"]
    for_each = local.package
    content {
      source      = provisioner.value
      destination = "/tmp/agent.${local.suffix}"
    }
  }
  dynamic "provisioner" {
    labels   = ["file"]
    for_each = local.scripts
    content {
      source      = provisioner.value
      destination = "/tmp/bake-${provisioner.key}"
    }
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
    inline = concat(
      ["set -eu; as=; [ \"$(id -u)\" = 0 ] || as='sudo -n'"],
      [for p in local.package : "$as sh /tmp/bake /tmp/agent.${local.suffix} awscli curl ca-certificates"],
      [for i, s in local.scripts : "chmod 755 /tmp/bake-${i}; $as /tmp/bake-${i}"],
      ["$as sh /tmp/seal /", "rm -rf /tmp/bake* /tmp/seal"],
    )
  }
}
