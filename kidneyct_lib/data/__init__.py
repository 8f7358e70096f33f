"""Where images come from: data sets, folders, the catalog, decoding, augmentation, the phantom."""
