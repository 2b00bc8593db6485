"""FHIR to the chart: a Bundle of requests becomes writes. Pure; what needs the chart is `store.write`'s.

bundle      the transform: its entries, in order, and which resource each is of
entry       one entry: what is asked for, of which resource, under which conditions
reference   where references lead
"""
