/* SPDX-License-Identifier: GPL-3.0-or-later */
/* State of the RTL8029AS: for its tests. */
#pragma once

#include "devices/net/dp8390.h"
#include "devices/pci/pci.h"

typedef struct Ne2kPci
{
  VmPciDevice parent;
  VmRegion io;
  Dp8390 chip;
} Ne2kPci;
