"""FHIR to the chart: a Bundle of requests becomes writes. Pure; what needs the chart is `store.write`'s.

bundle     the transform: its entries, in order
entry      one entry: what is asked for, of which resource, under which conditions
identity   which resource it is: ids that are given, promised, or follow from who a patient is
"""
