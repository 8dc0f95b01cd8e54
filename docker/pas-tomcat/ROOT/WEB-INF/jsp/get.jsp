<%@ include file="common.jspf" %>
<%@ include file="request.jspf" %>
<%
    if ("openedge=true".equals(query))
        json.append(", \"openedge\": {\"context\": {}, \"pathparameters\": {}, \"propath\": []}");
    out.print(json + instance(calls));
%>
