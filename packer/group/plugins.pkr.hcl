# Packer 1.7 and newer fetches its builder (packer init packer/); 1.6 has it inside and does not read this file.
packer {
  required_plugins {
    amazon = {
      version = ">= 1.2.0"
      source  = "github.com/hashicorp/amazon"
    }
  }
}
