"""DICOM over TCP: images come and go (C-STORE), worklists are asked for (C-FIND).

pynetdicom speaks the protocol, in threads. What this room adds:

arriving     a data set on its way into the spool         seam      where pynetdicom is told to write there
connection   one association: limits, and its end         listener  all associations of one port
store        what a C-STORE is answered                   find      what a C-FIND is answered
outbound     one instance out                             source, destination: the settings
"""
