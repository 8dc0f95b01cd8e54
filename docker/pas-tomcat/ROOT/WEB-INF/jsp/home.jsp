<%@ include file="common.jspf" %>
<%
    response.setContentType("text/html;charset=utf-8");
%>
<!doctype html><html><head><title>pas-tomcat</title></head>
<body><h1>pas-tomcat</h1><p>A Tomcat shaped like PAS for OpenEdge.</p></body></html>
